import type { SocketAddress } from "../../net/index.ts";
import type { WorkloadLabels } from "./workload-labels.ts";

/**
 * What listeners know about an accepted connection before its first byte of HTTP. All requests of the connection share
 * this object.
 */
export interface ConnectionInfo {
  /** The client: the peer, or the client that a tunnel or a PROXY header names. */
  readonly remote: SocketAddress;
  /** The peer itself, if a PROXY header names another client. Undefined if the peer is the client. */
  readonly directRemote?: SocketAddress;
  /**
   * The client's destination: the listening address, or the original destination of a captured or tunnelled connection.
   */
  readonly local: SocketAddress;
  /** Set if connections to endpoints must come from the client's address. */
  readonly originalSource?: OriginalSource;
  /** The TLS of the connection, or of the tunnel that carried it. Undefined for plain text. */
  readonly tls: DownstreamTls | undefined;
  /**
   * The workload that the peer claims to be, by a tunnel's baggage or by peer metadata. Undefined if it sent nothing.
   */
  readonly peer: WorkloadLabels | undefined;
  /** The server name (SNI) of a connection whose TLS this proxy does not terminate. */
  readonly serverName?: string;
  /** The kind of proxy at the start of the tunnel, as that proxy says in `x-istio-source`: `waypoint` or `gateway`. */
  readonly source?: string | undefined;
  /**
   * The common part of the access log lines, while the connection's requests are of one kind. The log format stores it
   * here.
   */
  logKind?: object;
}

/**
 * The address from which connections to endpoints come: the client's. The mark makes the replies return to this proxy.
 */
export interface OriginalSource {
  readonly address: string;
  /** The SO_MARK of these connections. Undefined if none is set. */
  readonly mark: number | undefined;
}

export interface DownstreamTls {
  /** Whether a client certificate was requested, sent and verified. */
  readonly verified: boolean;
  /** The first URI SAN of the client's certificate (`spiffe://…`). Empty without one. */
  readonly peerIdentity: string;
  /** The first URI SAN of our own certificate. Empty without one. */
  readonly localIdentity: string;
  /** The client's certificate in PEM, requested only if it is forwarded. Empty without one. */
  peerCertificate(): string;
  /** The subject of the client's certificate, as `CN=a,O=b`. Empty without a certificate. */
  peerSubject(): string;
  /** All URI SANs of the client's certificate. A certificate of the mesh has one. */
  peerUris(): readonly string[];
  peerDnsNames(): readonly string[];
  /** The SHA-256 of the client's certificate in hexadecimal. Empty without one. */
  peerCertificateHash(): string;
  /** The client's SNI. Empty without one. */
  readonly serverName: string;
  readonly alpnProtocol: string | undefined;
}
