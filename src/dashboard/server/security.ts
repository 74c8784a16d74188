import type { IncomingMessage, ServerResponse } from "node:http";
import { nameOf, usesForeignName } from "../../base/foreign-page/index.ts";
import { refusal } from "../problem.ts";

/** Forbids inline code, content from elsewhere, and frames. */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "worker-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join("; ");

export function setSecurityHeaders(response: ServerResponse): void {
  response.setHeader("content-security-policy", contentSecurityPolicy);
  response.setHeader("x-content-type-options", "nosniff");
  response.setHeader("x-frame-options", "DENY");
  response.setHeader("referrer-policy", "no-referrer");
  response.setHeader("cross-origin-opener-policy", "same-origin");
  response.setHeader("cross-origin-resource-policy", "same-origin");
  response.setHeader("permissions-policy", "camera=(), geolocation=(), microphone=()");
}

/**
 * Throws for a request that reaches this machine's loopback under a foreign host name. A page of another site may have
 * sent it (DNS rebinding).
 */
export function checkHost(request: IncomingMessage): void {
  if (!usesForeignName(request)) return;
  throw refusal(
    "forbidden",
    `"${nameOf(request.headers.host ?? "")}" is not a name of this machine`,
    "open the address that was printed, with localhost or 127.0.0.1",
  );
}

/** Throws for a request that, according to the browser, another origin's page sends. */
export function checkSameSite(request: IncomingMessage): void {
  const site = request.headers["sec-fetch-site"];
  if (site === undefined || site === "same-origin" || site === "none") return;
  throw refusal("forbidden", "the request comes from a page of another origin");
}

/**
 * Reads the cookies. Of several with the same name, the first counts: browsers send the one with the longest path first
 * (RFC 6265, 5.4).
 */
export function cookiesOf(request: IncomingMessage): ReadonlyMap<string, string> {
  const pairs = (request.headers.cookie ?? "").split(";").map((pair) => pair.trim());
  return new Map(
    pairs
      .filter((pair) => pair.includes("="))
      .map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)] as const)
      .reverse(),
  );
}
