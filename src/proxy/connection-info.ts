import type { SocketAddress } from "../net/index.ts";
import type { WorkloadLabels } from "./upstream/workload-labels.ts";

/** What is known of an accepted connection before its first byte of HTTP; one object per connection, shared by all its requests. */
export interface ConnectionInfo {
  /** The client: the peer, or who a tunnel or a PROXY header speaks for. */
  readonly remote: SocketAddress;
  /** The peer itself, where a PROXY header says that it speaks for somebody else; undefined where the client is the peer. */
  readonly directRemote?: SocketAddress;
  /** Where the client meant to go: the listening address, or the original destination of a captured or tunnelled connection. */
  readonly local: SocketAddress;
  /** Of the connection itself, or of the tunnel that carried it; undefined in plain text. */
  readonly tls: DownstreamTls | undefined;
  /** Who the peer says it is (baggage of a tunnel, peer metadata); undefined when it said nothing. */
  readonly peer: WorkloadLabels | undefined;
  /** The SNI that was read off a connection whose TLS ends elsewhere. */
  readonly serverName?: string;
  /** What kind of proxy the tunnel came from, as it says itself (`x-istio-source`): `waypoint`, `gateway`. */
  readonly source?: string | undefined;
  /** What lines of an access log have in common as long as the connection's requests are of one kind: kept here by the log's format. */
  logKind?: object;
}

export interface DownstreamTls {
  /** Whether the client's certificate was asked for, sent and verified. */
  readonly verified: boolean;
  /** The first URI SAN of the client's certificate (`spiffe://…`); empty without one. */
  readonly peerIdentity: string;
  /** Our own, likewise. */
  readonly localIdentity: string;
  /** The PEM of the client's certificate is asked for only where it is forwarded; empty without one. */
  peerCertificate(): string;
  /** The certificate's subject, as `CN=a,O=b`; empty without a certificate. */
  peerSubject(): string;
  /** Its DNS names. */
  peerDnsNames(): readonly string[];
  /** The SHA-256 of the certificate, in hexadecimal; empty without one. */
  peerCertificateHash(): string;
  /** The client's SNI; empty without. */
  readonly serverName: string;
  readonly alpnProtocol: string | undefined;
}
