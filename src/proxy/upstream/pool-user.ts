import type { UpstreamChannel } from "./upstream-channel.ts";

/** The protocol to an endpoint. `alpn`: HTTP/2 if TLS agrees on it, else HTTP/1.1. */
export type WireProtocol = "http1" | "http2" | "alpn";

/** Waits for a connection. Exactly one of the two methods is called, at once or later, unless the user gave up. */
export interface PoolUser {
  /** HTTP/1.1 when absent. */
  readonly upstreamProtocol?: WireProtocol;
  connected(channel: UpstreamChannel): void;
  connectFailed(failure: ConnectFailure): void;
}

export interface ConnectFailure {
  readonly kind: "connection-failure" | "timeout" | "overflow";
  readonly message: string;
}
