import type { MessageHead } from "./message-head.ts";

/** How the length of a body is determined (RFC 9112, 6.3). */
export const bodyFramings = { none: 0, length: 1, chunked: 2, untilClose: 3 } as const;
export type BodyFraming = (typeof bodyFramings)[keyof typeof bodyFramings];

/** How the body of a request ends. Without `content-length` and `transfer-encoding`, a request has no body. */
export function requestFraming(head: MessageHead): BodyFraming {
  if (head.chunked) return bodyFramings.chunked;
  return head.contentLength > 0 ? bodyFramings.length : bodyFramings.none;
}

/**
 * How the body of a response ends. `toHead` says that it answers a HEAD request. Interim (1xx) responses have no body.
 * The caller handles 101.
 */
export function responseFraming(head: MessageHead, toHead: boolean): BodyFraming {
  if (toHead || head.status < 200 || head.status === 204 || head.status === 304) return bodyFramings.none;
  if (head.chunked) return bodyFramings.chunked;
  if (head.contentLength === 0) return bodyFramings.none;
  return head.contentLength > 0 ? bodyFramings.length : bodyFramings.untilClose;
}

export function keepsAlive(head: MessageHead): boolean {
  if (head.connectionClose) return false;
  return head.minorVersion === 1 || head.connectionKeepAlive;
}
