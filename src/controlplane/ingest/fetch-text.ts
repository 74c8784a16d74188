import type * as Https from "node:https";
import { getCACertificates } from "node:tls";
import { transientError } from "../../base/index.ts";

const maxBytes = 1 << 20;
const maxRedirects = 5;

/** Fetches a text of at most a megabyte over HTTP or HTTPS. HTTPS uses the roots of the operating system. */
export async function fetchText(url: string, signal: AbortSignal): Promise<string> {
  const response = await fetch(url, { signal, redirect: "follow" });
  if (!response.ok) throw statusError(url, response.status);
  return await textOf(url, response.body ?? []);
}

/**
 * Like {@link fetchText}, but HTTPS also trusts additional roots in PEM. They are read for each request, so that a
 * changed file has an effect.
 */
export async function fetchTextTrusting(
  url: string,
  signal: AbortSignal,
  additionalRoots: () => Promise<string | undefined>,
): Promise<string> {
  let address = new URL(url);
  for (let redirects = 0; redirects <= maxRedirects; redirects += 1) {
    const roots = address.protocol === "https:" ? await additionalRoots() : undefined;
    if (roots === undefined) return await fetchText(address.href, signal);
    const answer = await getOver(address, [...getCACertificates("default"), roots], signal);
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

type Answer = Parameters<NonNullable<Parameters<typeof Https.get>[2]>>[0];

function getOver(address: URL, ca: string[], signal: AbortSignal): Promise<Answer> {
  return new Promise((resolve, reject) => {
    process.getBuiltinModule("node:https").get(address, { ca, signal, agent: false }, resolve).on("error", reject);
  });
}

async function textOf(url: string, body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > maxBytes) throw transientError("answer-too-long", `${url} answered more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function statusError(url: string, status: number): Error {
  return transientError("http-status", `${url} answered ${status}`);
}
