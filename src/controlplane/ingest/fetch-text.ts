import type * as Http from "node:http";
import { lookup } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import { pipeline, Transform, type Readable } from "node:stream";
import { getCACertificates } from "node:tls";
import {
  isAddressOf,
  isInsideAddress,
  isLoopbackAddress,
  isOwnMachineAddress,
  transientError,
  type Network,
} from "../../base/index.ts";
import { requireFinalResponse, readBytes } from "../../base/joined-bytes/index.ts";

export interface FetchBounds {
  /**
   * Roots in PEM, in addition to those of the operating system. Called for each request, so that a change of the file
   * has an effect.
   */
  readonly additionalRoots: () => Promise<string | undefined>;
  /** Networks to which no request is sent, not even after a redirect. */
  readonly blockedNetworks: readonly Network[];
  /**
   * Whether an address belongs to this machine or its link. Servers there may trust this process, so no request is sent
   * to them.
   */
  readonly isInside: (address: string) => boolean;
  /**
   * Whether the URL itself may name an address of this machine or its link, or `localhost`. A redirect must not lead
   * there. Neither must any other host name, because the owner of the name chooses its address.
   */
  readonly startsAnywhere?: boolean;
}

const maxBytes = 1 << 20;
/** The limit of Go's HTTP client. */
const maxRedirects = 10;
/**
 * The headers of each request. gzip is accepted because object stores compress some documents even if the client does
 * not ask for it. A user agent is named because firewalls refuse clients without one.
 */
const requestHeaders = { "user-agent": "istiod", accept: "*/*", "accept-encoding": "gzip" };

/**
 * Fetches a text of at most a megabyte over HTTP or HTTPS from an address that an administrator chose, which may be on
 * this machine. The server may belong to someone else, so its redirects and its name must not lead to this machine or
 * its link. HTTPS trusts the roots of the operating system.
 */
export async function fetchText(url: string, signal: AbortSignal): Promise<string> {
  return await fetchTextWithin(url, signal, {
    additionalRoots: () => Promise.resolve(undefined),
    blockedNetworks: [],
    isInside: isInsideAddress,
    startsAnywhere: true,
  });
}

/** Fetches a text of at most a megabyte over HTTP or HTTPS. */
export async function fetchTextWithin(url: string, signal: AbortSignal, bounds: FetchBounds): Promise<string> {
  let address = new URL(url);
  const first = address.host;
  const boundsOf = ({ host, hostname }: URL): FetchBounds =>
    bounds.startsAnywhere === true && host === first && isFixed(hostname)
      ? { ...bounds, isInside: () => false }
      : bounds;
  for (let redirects = 0; redirects <= maxRedirects; redirects += 1) {
    const roots = address.protocol === "https:" ? await bounds.additionalRoots() : undefined;
    const ca = roots === undefined ? {} : { ca: [...getCACertificates("default"), roots] };
    const answer = await getOver(address, { ...ca, signal, lookup: permittedLookup(address, boundsOf(address)) });
    const status = answer.statusCode ?? 0;
    const { location } = answer.headers;
    // The body of any other answer may have no end, so it is not read.
    if (status < 200 || status >= 300) answer.destroy();
    if (status >= 300 && status < 400 && location !== undefined) {
      address = new URL(location, address);
      continue;
    }
    if (status < 200 || status >= 300) throw statusError(address.href, status);
    return await textOf(address.href, decoded(address.href, answer));
  }
  throw transientError("http-status", `${url} redirected more than ${maxRedirects} times`);
}

function isFixed(hostname: string): boolean {
  return hostname === "localhost" || isIP(withoutBrackets(hostname)) !== 0;
}

function withoutBrackets(hostname: string): string {
  return hostname.replace(/^\[|\]$/g, "");
}

/**
 * Throws if the host is an address that is not permitted. The returned look-up refuses names that resolve to such an
 * address.
 */
function permittedLookup({ hostname }: URL, bounds: FetchBounds): LookupFunction {
  const host = withoutBrackets(hostname);
  const refusal = isIP(host) === 0 ? undefined : refusalOf(host, host, bounds);
  if (refusal !== undefined) throw refusal;
  return (name, options, callback) => {
    lookup(name, { ...options, all: true }, (error, found) => {
      const refused = found
        ?.map(({ address }) => refusalOf(name, address, bounds))
        .find((fault) => fault !== undefined);
      if (error !== null) callback(error, []);
      else if (refused !== undefined) callback(refused, []);
      else if (options.all === true) callback(null, found);
      else callback(null, found[0]?.address ?? "", found[0]?.family);
    });
  };
}

/** Why no request is sent to an address. Undefined if it is permitted. */
function refusalOf(host: string, address: string, { blockedNetworks, isInside }: FetchBounds): Error | undefined {
  if (isBlocked(address, blockedNetworks)) return blockedError(host, address);
  if (!isInside(address)) return undefined;
  return transientError(
    "address-blocked",
    `${host}${host === address ? "" : ` (${address})`} is an address of the control plane's own machine or link; name a Service or a server's address`,
  );
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
    const request = http.get(address, { ...options, headers: requestHeaders, agent: false }, resolve);
    requireFinalResponse(request.on("error", reject));
  });
}

function decoded(url: string, answer: Http.IncomingMessage): Readable {
  if (!/^(x-)?gzip$/i.test(answer.headers["content-encoding"] ?? "")) return answer;
  // Blocks of gzip may be empty, so the limit of the text might never be reached. So limit the compressed bytes, too.
  let read = 0;
  const bounded = new Transform({
    transform: (chunk: Buffer, _encoding, done) => {
      read += chunk.length;
      if (read > maxBytes) done(tooLong(url));
      else done(null, chunk);
    },
  });
  // `pipeline` passes the errors of all streams on to the reader of the result.
  return pipeline(answer, bounded, process.getBuiltinModule("node:zlib").createGunzip(), () => undefined);
}

async function textOf(url: string, body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<string> {
  const answer = await readBytes(body, maxBytes, () => tooLong(url));
  return answer.toString("utf8");
}

function tooLong(url: string): Error {
  return transientError("answer-too-long", `${url} answered more than ${maxBytes} bytes`);
}

function statusError(url: string, status: number): Error {
  return transientError("http-status", `${url} answered ${status}`);
}
