import type { ChunkedScanner } from "../../wire/http1/index.ts";
import { textOfTrailers, trailersOfText } from "../http2/http2-heads.ts";

/**
 * Headers that are not allowed as trailers: they would arrive too late, or after they were checked, and a receiver that
 * merges them into the head would accept them.
 */
const forbidden: ReadonlySet<string> = new Set([
  // How to read the message.
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
  // Who asks, and what for.
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

/** What proxies tell each other. */
const ofProxies = /^(:|x-forwarded-|x-envoy-|x-original-|x-rewrite-)/;

/** The trailers (names in lower case and values in turn) that may pass. Removes those that RFC 9110, 6.5.1 forbids. */
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

/** The lines of a chunked body's trailers that may go on; empty before its end, and where trailers are not kept at all. */
export function keptTrailers(scanner: ChunkedScanner): string {
  return scanner.done && scanner.keepsTrailers && scanner.trailers !== ""
    ? textOfTrailers(permittedTrailers(trailersOfText(scanner.trailers)))
    : "";
}
