import { messageOf, SerinError } from "../../base/index.ts";
import type { UpstreamChannel } from "./upstream-channel.ts";

/** The protocol towards an endpoint. `alpn` means HTTP/2 if TLS negotiates it, else HTTP/1.1. */
export type WireProtocol = "http1" | "http2" | "alpn";

/** Waits for a connection. Exactly one of the two methods is called, at once or later, unless the user gave up. */
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

/** Why a connection could not be opened. */
export function connectFailureOf(error: unknown): ConnectFailure & { readonly kind: "connection-failure" | "timeout" } {
  const isTimeout = error instanceof SerinError && error.code === "timeout";
  return { kind: isTimeout ? "timeout" : "connection-failure", message: messageOf(error) };
}
