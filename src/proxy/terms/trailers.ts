import type { ChunkedScanner } from "../../wire/http1/index.ts";
import { textOfTrailers, trailersOfText } from "../http2/http2-heads.ts";

/**
 * Headers that may not be sent as trailers. They would arrive too late. A receiver that merges trailers into the head
 * would also accept them without the checks of the head.
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

/** Matches the headers that proxies exchange. */
const ofProxies = /^(:|x-forwarded-|x-envoy-|x-original-|x-rewrite-)/;

/**
 * Returns the trailers (alternating names in lower case and values) that may pass. Those that RFC 9110, 6.5.1 forbids
 * are removed.
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

/**
 * The lines of a chunked body's trailers that may be forwarded. Empty before the body's end, or if trailers are
 * dropped.
 */
export function keptTrailers(scanner: ChunkedScanner): string {
  return scanner.done && scanner.keepsTrailers && scanner.trailers !== ""
    ? textOfTrailers(permittedTrailers(trailersOfText(scanner.trailers)))
    : "";
}
