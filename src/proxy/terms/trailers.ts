import type { ChunkedScanner } from "../../wire/http1/index.ts";
import { textOfTrailers, trailersOfText } from "../http2/http2-heads.ts";

/**
 * Headers that are not allowed as trailers. They would arrive too late, or bypass the checks of the head: a receiver
 * that merges them into the head would accept them.
 */
const forbidden: ReadonlySet<string> = new Set([
  // Framing headers.
  "content-length",
  "transfer-encoding",
  "content-encoding",
  "content-type",
  "content-range",
  "trailer",
  "te",
  // Routing and hop-by-hop headers.
  "host",
  "connection",
  "keep-alive",
  "proxy-connection",
  "upgrade",
  "http2-settings",
  "via",
  "forwarded",
  "x-real-ip",
  "x-request-id",
  "max-forwards",
  "expect",
  // Headers about identity and conditions.
  "authorization",
  "proxy-authorization",
  "proxy-authenticate",
  "www-authenticate",
  "cookie",
  "set-cookie",
  "cache-control",
  "pragma",
  "range",
  "if-match",
  "if-none-match",
  "if-modified-since",
  "if-unmodified-since",
  "if-range",
  "age",
  "date",
  "expires",
  "location",
  "retry-after",
  "vary",
]);

/** Headers that proxies exchange. */
const ofProxies = /^(:|x-forwarded-|x-envoy-|x-original-|x-rewrite-)/;

/**
 * The trailers (alternating names in lower case and values) that may pass. Removes those that RFC 9110, 6.5.1 forbids.
 */
export function permittedTrailers(fields: readonly string[]): readonly string[] {
  if (!fields.some((name, index) => index % 2 === 0 && isForbidden(name))) return fields;
  const permitted: string[] = [];
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const name = fields[at] ?? "";
    if (!isForbidden(name)) permitted.push(name, fields[at + 1] ?? "");
  }
  return permitted;
}

function isForbidden(name: string): boolean {
  return forbidden.has(name) || ofProxies.test(name);
}

/** The trailer lines of a chunked body that may be forwarded. Empty before its end, and if trailers are dropped. */
export function keptTrailers(scanner: ChunkedScanner): string {
  return scanner.done && scanner.keepsTrailers && scanner.trailers !== ""
    ? textOfTrailers(permittedTrailers(trailersOfText(scanner.trailers)))
    : "";
}
