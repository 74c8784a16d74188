import type { Headers } from "../../wire/hbone/index.ts";
import type { ByteStream, SocketAddress } from "../../net/index.ts";

/** Where a tunnel's TLS connection goes; connections with equal targets are shared by up to 100 streams each. */
export interface HboneTarget {
  /** SPIFFE id (`spiffe://…`) whose certificate we present. */
  readonly sourceIdentity: string;
  /** The address to dial, and its HBONE port (15008). */
  readonly address: string;
  readonly port: number;
  /** SPIFFE ids of which the peer must have one; empty accepts any peer of our trust domains. */
  readonly expectedIdentities: readonly string[];
  /** Who has the address, such as a workload's uid: when an address changes hands, the next holder gets a connection of its own. */
  readonly destinationId?: string;
  /** A network namespace to dial from; it is part of the pool's key. */
  readonly namespaceFd?: number;
  readonly mark?: number;
  readonly sourceAddress?: string;
}

export interface HboneConnectOptions extends HboneTarget {
  /** `ip:port` or `hostname:port` of the CONNECT. */
  readonly authority: string;
  /** baggage, forwarded, traceparent and the like; names in lower case. */
  readonly headers: Headers;
  /** Covers dialing, TLS and the answer to CONNECT. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/** The client's end of a tunnel: bytes as in {@link ByteStream}; `fd` is -1. */
export interface HboneTunnel extends ByteStream {
  /** The SPIFFE id that the peer proved. */
  readonly peerIdentity: string;
  /** Headers of the 200, such as the peer's baggage. */
  readonly responseHeaders: Headers;
  /** The peer drains the connection under it (GOAWAY): whoever keeps the tunnel for reuse should let it go. */
  readonly retiring: boolean;
}

/** A CONNECT that arrived at our server; answer it once, by {@link accept} or {@link reject}. */
export interface HboneRequest {
  readonly authority: string;
  readonly headers: Headers;
  /** The peer's SPIFFE id. */
  readonly peerIdentity: string;
  /** The TLS connection's ends; `local` has the HBONE port. */
  readonly local: SocketAddress;
  readonly remote: SocketAddress;
  /** Aborted when the peer takes the request back before it was answered. */
  readonly signal: AbortSignal;
  /** Answers 200 and yields our end of the tunnel, paused. */
  accept(headers?: Headers): ByteStream;
  /** Answers with an HTTP status: 401 policy, 503 upstream failure, 400 bad target. */
  reject(status: number, headers?: Headers): void;
}

export interface HboneServerConnection {
  readonly activeStreams: number;
  readonly peerIdentity: string;
  /** Two-phase GOAWAY: peers move to another connection, live streams go on; closes after the last one. */
  drain(): void;
  /** Closes now; its streams are reset. */
  close(): void;
  /** Resolves when the connection has ended. */
  readonly closed: Promise<void>;
}
