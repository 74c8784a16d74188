import { messageOf, SerinError } from "../../base/index.ts";
import type { UpstreamChannel } from "./upstream-channel.ts";

/** The protocol towards an endpoint. `alpn` means HTTP/2 if TLS negotiates it, and HTTP/1.1 otherwise. */
export type WireProtocol = "http1" | "http2" | "alpn";

/**
 * A user that waits for a connection. Exactly one of `connected` and `connectFailed` is called, at once or later,
 * unless the user gives up.
 */
export interface PoolUser {
  /** Absent means HTTP/1.1. */
  readonly upstreamProtocol?: WireProtocol;
  /** Whether the request must not be sent twice. Absent means no. */
  readonly sendsOnce?: boolean;
  connected(channel: UpstreamChannel): void;
  connectFailed(failure: ConnectFailure): void;
}

export interface ConnectFailure {
  readonly kind: "connection-failure" | "timeout" | "overflow";
  readonly message: string;
}

export function connectFailureOf(error: unknown): ConnectFailure & { readonly kind: "connection-failure" | "timeout" } {
  const isTimeout = error instanceof SerinError && error.code === "timeout";
  return { kind: isTimeout ? "timeout" : "connection-failure", message: messageOf(error) };
}
