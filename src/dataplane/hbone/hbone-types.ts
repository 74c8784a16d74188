import type { Headers } from "../../wire/hbone/index.ts";
import type { ByteStream, SocketAddress } from "../../net/index.ts";

/** The target of a tunnel's TLS connection. Up to 100 streams with equal targets share a connection. */
export interface HboneTarget {
  /** The SPIFFE id (`spiffe://…`) whose certificate the client presents. */
  readonly sourceIdentity: string;
  readonly address: string;
  readonly port: number;
  /** The SPIFFE ids of which the peer must have one. If it is empty, a certificate from a trusted root is enough. */
  readonly expectedIdentities: readonly string[];
  /**
   * The owner of the address, such as a workload's uid. If the address gets a new owner, tunnels to that owner get a
   * new connection.
   */
  readonly destinationId?: string | undefined;
  /** The network namespace to dial from. Connections from different namespaces are not shared. */
  readonly namespaceFd?: number | undefined;
  readonly mark?: number;
  readonly sourceAddress?: string;
}

export interface HboneConnectOptions extends HboneTarget {
  /** The `ip:port` or `hostname:port` of the CONNECT. */
  readonly authority: string;
  /** The headers of CONNECT, for example baggage, forwarded and traceparent. Names are in lower case. */
  readonly headers: Headers;
  /** The time limit for the connection, TLS and the answer to CONNECT together. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/** The client's end of a tunnel, with the interface of {@link ByteStream}. `fd` is -1. */
export interface HboneTunnel extends ByteStream {
  readonly peerIdentity: string;
  /** The headers of the 200 response to CONNECT, for example the peer's baggage. */
  readonly responseHeaders: Headers;
  /** Whether the peer drains the underlying connection (GOAWAY). Users of reusable tunnels should then release them. */
  readonly retiring: boolean;
}

/** A CONNECT that arrived at a server. The server answers it once, by {@link accept} or {@link reject}. */
export interface HboneRequest {
  readonly authority: string;
  readonly headers: Headers;
  /** Returns the value of one header. This costs less than reading all of them. */
  field(name: string): string | undefined;
  readonly peerIdentity: string;
  /** The addresses of the TLS connection. `local` has the HBONE port. */
  readonly local: SocketAddress;
  readonly remote: SocketAddress;
  /**
   * Calls `run` when the peer cancels the request before the answer, or at once if it already has. Replaces an earlier
   * `run`.
   */
  onWithdrawn(run: (reason: Error) => void): void;
  /** Answers 200 and returns the server's end of the tunnel, paused. The same headers object is encoded only once. */
  accept(headers?: Headers): ByteStream;
  /**
   * Answers with an HTTP status: 401 if a policy denies, 503 if the application cannot be reached, 400 for a bad
   * target.
   */
  reject(status: number, headers?: Headers): void;
}

export interface HboneServerConnection {
  readonly activeStreams: number;
  readonly peerIdentity: string;
  /**
   * Sends GOAWAY in two steps. The peer then uses another connection, and live streams continue. The connection closes
   * after the last stream.
   */
  drain(): void;
  /** Closes the connection now and resets the streams. */
  close(): void;
  readonly closed: Promise<void>;
}
