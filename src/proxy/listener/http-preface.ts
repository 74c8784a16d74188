import { httpMethods } from "../../base/index.ts";
import { startsAlike } from "./starts-alike.ts";

/** The version of HTTP that the first bytes show. `incomplete` while more bytes may decide it. */
export type HttpPreface = "http/1.0" | "http/1.1" | "h2c" | "none" | "incomplete";

const http2Preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const methods = httpMethods.map((method) => Buffer.from(`${method} `));
const carriageReturn = 13;
const lineFeed = 10;
const space = 32;

/** The maximum length of a request line. A connection with a longer one is not treated as HTTP. */
export const maxPrefaceBytes = 65_536;

/**
 * Finds HTTP in the first bytes as Envoy's HTTP inspector does: by a known method, and by a version at the end of the
 * line.
 */
export function detectHttp(bytes: Buffer): HttpPreface {
  if (bytes.length === 0) return "incomplete";
  if (startsAlike(bytes, http2Preface)) return bytes.length >= http2Preface.length ? "h2c" : "incomplete";
  if (!methods.some((method) => startsAlike(bytes, method))) return "none";
  const end = bytes.indexOf(lineFeed);
  if (end < 0) return bytes.length < maxPrefaceBytes ? "incomplete" : "none";
  const line = bytes.subarray(0, bytes[end - 1] === carriageReturn ? end - 1 : end);
  const version = line.subarray(line.lastIndexOf(space) + 1).toString("latin1");
  if (version === "HTTP/1.1") return "http/1.1";
  return version === "HTTP/1.0" ? "http/1.0" : "none";
}
