import type { Headers } from "../../wire/hbone/index.ts";
import type { ByteStream, SocketAddress } from "../../net/index.ts";

/** The target of a tunnel's TLS connection. Connections with equal targets are shared by up to 100 streams each. */
export interface HboneTarget {
  /** The SPIFFE id (`spiffe://…`) whose certificate we present. */
  readonly sourceIdentity: string;
  /** The address to connect to, with its HBONE port (15008). */
  readonly address: string;
  readonly port: number;
  /** The SPIFFE ids of which the peer must have one. An empty list accepts any peer of our trust domains. */
  readonly expectedIdentities: readonly string[];
  /**
   * The owner of the address, such as a workload's uid. If the address gets a new owner, that owner gets a new
   * connection.
   */
  readonly destinationId?: string | undefined;
  /** The network namespace to dial from. It is part of the pool's key. */
  readonly namespaceFd?: number | undefined;
  readonly mark?: number;
  readonly sourceAddress?: string;
}

export interface HboneConnectOptions extends HboneTarget {
  /** `ip:port` or `hostname:port` of the CONNECT. */
  readonly authority: string;
  /** The headers of CONNECT, for example baggage, forwarded and traceparent. Names are in lower case. */
  readonly headers: Headers;
  /** The time limit for the connection, TLS and the answer to CONNECT together. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/** The client's end of a tunnel, with the interface of {@link ByteStream}. `fd` is -1. */
export interface HboneTunnel extends ByteStream {
  /** The peer's proven SPIFFE id. */
  readonly peerIdentity: string;
  /** The headers of the 200 response to CONNECT, for example the peer's baggage. */
  readonly responseHeaders: Headers;
  /** Whether the peer drains the underlying connection (GOAWAY). Users of reusable tunnels should then release them. */
  readonly retiring: boolean;
}

/** A CONNECT that arrived at our server. Answer it once, by {@link accept} or {@link reject}. */
export interface HboneRequest {
  readonly authority: string;
  readonly headers: Headers;
  /** The value of one header. This costs less than reading all of them. */
  field(name: string): string | undefined;
  /** The peer's SPIFFE id. */
  readonly peerIdentity: string;
  /** The addresses of the TLS connection. `local` has the HBONE port. */
  readonly local: SocketAddress;
  readonly remote: SocketAddress;
  /** Calls `run` if the peer cancels the request before the answer, or at once if it has. Replaces an earlier `run`. */
  onWithdrawn(run: (reason: Error) => void): void;
  /** Answers 200 and returns our end of the tunnel, paused. The same headers object is encoded only once. */
  accept(headers?: Headers): ByteStream;
  /** Answers with an HTTP status: 401 if a policy denies, 503 if the upstream fails, 400 for a bad target. */
  reject(status: number, headers?: Headers): void;
}

export interface HboneServerConnection {
  readonly activeStreams: number;
  readonly peerIdentity: string;
  /**
   * Sends GOAWAY in two steps. Peers move to another connection, and live streams continue. Closes after the last one.
   */
  drain(): void;
  /** Closes now and resets the streams. */
  close(): void;
  /** Resolves when the connection has ended. */
  readonly closed: Promise<void>;
}
