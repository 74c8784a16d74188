import type * as Http from "node:http";
import { lookup } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import { getCACertificates } from "node:tls";
import { isAddressOf, isLoopbackAddress, isOwnMachineAddress, transientError, type Network } from "../../base/index.ts";
import { readBytes } from "../../base/joined-bytes/index.ts";

/** The roots that a fetch trusts, and the addresses that it must not reach. */
export interface FetchBounds {
  /**
   * Roots in PEM besides those of the operating system. Read for each request, so that a changed file has an effect.
   */
  readonly additionalRoots: () => Promise<string | undefined>;
  /** Networks to which no request is sent, not even after a redirect. */
  readonly blockedNetworks: readonly Network[];
}

const maxBytes = 1 << 20;
const maxRedirects = 5;

/** Fetches a text of at most a megabyte over HTTP or HTTPS. HTTPS uses the roots of the operating system. */
export async function fetchText(url: string, signal: AbortSignal): Promise<string> {
  const response = await fetch(url, { signal, redirect: "follow" });
  if (!response.ok) throw statusError(url, response.status);
  return await textOf(url, response.body ?? []);
}

/** Like {@link fetchText}, within bounds. */
export async function fetchTextWithin(
  url: string,
  signal: AbortSignal,
  { additionalRoots, blockedNetworks }: FetchBounds,
): Promise<string> {
  let address = new URL(url);
  for (let redirects = 0; redirects <= maxRedirects; redirects += 1) {
    const roots = address.protocol === "https:" ? await additionalRoots() : undefined;
    if (roots === undefined && blockedNetworks.length === 0) return await fetchText(address.href, signal);
    const ca = roots === undefined ? {} : { ca: [...getCACertificates("default"), roots] };
    const answer = await getOver(address, { ...ca, signal, ...unblocked(address, blockedNetworks) });
    const status = answer.statusCode ?? 0;
    const { location } = answer.headers;
    if (status >= 300 && status < 400 && location !== undefined) {
      answer.resume();
      address = new URL(location, address);
      continue;
    }
    if (status < 200 || status >= 300) {
      answer.resume();
      throw statusError(address.href, status);
    }
    return await textOf(address.href, answer);
  }
  throw transientError("http-status", `${url} redirected more than ${maxRedirects} times`);
}

/** Throws if the host is a blocked address. The returned lookup refuses names that have one. */
function unblocked({ hostname }: URL, networks: readonly Network[]): { readonly lookup?: LookupFunction } {
  if (networks.length === 0) return {};
  const host = hostname.replace(/^\[|\]$/g, "");
  if (isIP(host) !== 0 && isBlocked(host, networks)) throw blockedError(host, host);
  return {
    lookup: (name, options, callback) => {
      lookup(name, { ...options, all: true }, (error, found) => {
        const blocked = found?.find(({ address }) => isBlocked(address, networks));
        if (error !== null) callback(error, []);
        else if (blocked !== undefined) callback(blockedError(name, blocked.address), []);
        else if (options.all === true) callback(null, found);
        else callback(null, found[0]?.address ?? "", found[0]?.family);
      });
    },
  };
}

function isBlocked(address: string, networks: readonly Network[]): boolean {
  // A connection to an unspecified address reaches the loopback.
  const isUnspecified = isOwnMachineAddress(address) && !isLoopbackAddress(address);
  return [address, ...(isUnspecified ? ["127.0.0.1", "::1"] : [])].some((reached) => isAddressOf(reached, networks));
}

function blockedError(host: string, address: string): Error {
  return transientError(
    "address-blocked",
    `${host}${host === address ? "" : ` has the address ${address}, which`} is in a network of BLOCKED_CIDRS_IN_JWKS_URIS`,
  );
}

function getOver(address: URL, options: Http.RequestOptions): Promise<Http.IncomingMessage> {
  const http = process.getBuiltinModule(address.protocol === "https:" ? "node:https" : "node:http");
  return new Promise((resolve, reject) => {
    http.get(address, { ...options, agent: false }, resolve).on("error", reject);
  });
}

async function textOf(url: string, body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<string> {
  const answer = await readBytes(body, maxBytes, () =>
    transientError("answer-too-long", `${url} answered more than ${maxBytes} bytes`),
  );
  return answer.toString("utf8");
}

function statusError(url: string, status: number): Error {
  return transientError("http-status", `${url} answered ${status}`);
}
