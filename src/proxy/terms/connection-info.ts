import type { SocketAddress } from "../../net/index.ts";
import type { WorkloadLabels } from "./workload-labels.ts";

/**
 * The facts of an accepted connection that listeners know before its first byte of HTTP. All requests of the connection
 * share one object.
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
  /** Set if connections to endpoints have the client's address. */
  readonly originalSource?: OriginalSource;
  /** TLS of the connection, or of the tunnel that carried it. Undefined in plain text. */
  readonly tls: DownstreamTls | undefined;
  /** The workload that the peer claims to be (baggage of a tunnel, peer metadata). Undefined if it sent nothing. */
  readonly peer: WorkloadLabels | undefined;
  /** The SNI of a connection whose TLS ends elsewhere. */
  readonly serverName?: string;
  /** The kind of proxy at the tunnel's start, according to itself (`x-istio-source`): `waypoint`, `gateway`. */
  readonly source?: string | undefined;
  /**
   * The common part of the connection's access log lines while its requests are of one kind. The log format stores it
   * here.
   */
  logKind?: object;
}

/** Connections to endpoints use the client's address. A mark makes their replies return to this proxy. */
export interface OriginalSource {
  readonly address: string;
  /** Their SO_MARK. */
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
  /** The DNS names of the client's certificate. */
  peerDnsNames(): readonly string[];
  /** The SHA-256 of the client's certificate in hexadecimal. Empty without one. */
  peerCertificateHash(): string;
  /** The client's SNI. Empty without one. */
  readonly serverName: string;
  readonly alpnProtocol: string | undefined;
}
