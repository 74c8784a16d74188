import type { X509Certificate } from "node:crypto";
import { certificateFingerprint, transientError } from "../../base/index.ts";
import { secureServer, type ByteStream, type SecureStream } from "../../net/index.ts";
import type { DownstreamTls } from "../terms/connection-info.ts";
import { peerExchangeProtocol } from "../peers/peer-exchange.ts";
import { certificateNames, peerTrouble, type CertificateNames } from "../tls/peer-verification.ts";
import type { TlsContexts } from "../tls/tls-contexts.ts";
import type { DownstreamTlsSpec } from "../tls/tls-spec.ts";
import type { ClientHello } from "./client-hello.ts";

export interface HandshakeOptions {
  readonly stream: ByteStream;
  readonly spec: DownstreamTlsSpec;
  /** The bytes that were read from the connection. They include the whole ClientHello. */
  readonly received: Buffer;
  readonly hello: Extract<ClientHello, { readonly kind: "tls" }>;
  readonly contexts: TlsContexts;
  /** Our SPIFFE id, if the chain's certificate is the mesh's. Otherwise empty. */
  readonly localIdentity: string;
  readonly timeoutMs: number;
  /** Whether the chain receives the client's metadata and sends its own before the first byte of data. */
  readonly exchangesPeers: boolean;
}

/** Performs the server's part of the TLS handshake. Closes the stream and rejects on failure. */
export async function secureDownstream(
  options: HandshakeOptions,
): Promise<{ readonly stream: SecureStream; readonly tls: DownstreamTls }> {
  const { stream, spec, hello, contexts, timeoutMs, exchangesPeers } = options;
  if (spec.requireServerName && hello.serverName === "") {
    stream.destroy();
    throw transientError("no-server-name", "TLS: the client sent no server name");
  }
  // Choose the first of our protocols that the client also offers. Without a common one, the connection continues with
  // the chain's own protocol.
  const alpn = spec.alpnProtocols.find(
    (protocol) => (exchangesPeers || protocol !== peerExchangeProtocol) && hello.alpnProtocols.includes(protocol),
  );
  const secured = await secureServer(stream, () => contexts.peek(spec) ?? contexts.get(spec, timeoutMs), {
    alpn: alpn === undefined ? [] : [alpn],
    timeoutMs,
    clientCertificate: spec.clientCertificate,
    received: options.received,
    refuse: (certificate, onlyUris) => peerTrouble(certificate, spec, onlyUris),
    alerts: true,
  });
  return {
    stream: secured,
    tls: new VerifiedTls(
      secured,
      hello.serverName,
      options.localIdentity,
      spec.clientCertificate === "require" || spec.clientCertificate === "request",
    ),
  };
}

class VerifiedTls implements DownstreamTls {
  readonly verified: boolean;
  readonly peerIdentity: string;
  readonly localIdentity: string;
  readonly serverName: string;
  readonly alpnProtocol: string | undefined;
  readonly #certificate: X509Certificate | undefined;
  #names: CertificateNames | undefined;

  constructor(stream: SecureStream, serverName: string, localIdentity: string, verified: boolean) {
    this.#certificate = verified ? stream.peerCertificate : undefined;
    this.verified = this.#certificate !== undefined;
    this.peerIdentity = stream.peerIdentity === "" ? (this.peerUris()[0] ?? "") : stream.peerIdentity;
    this.localIdentity = localIdentity;
    this.serverName = serverName;
    this.alpnProtocol = stream.alpnProtocol;
  }

  peerCertificate(): string {
    return this.#certificate?.toString() ?? "";
  }

  /** Node prints each part of the subject on its own line, the most general part first. */
  peerSubject(): string {
    return (this.#certificate?.subject ?? "")
      .split("\n")
      .filter((part) => part !== "")
      .toReversed()
      .join(",");
  }

  peerUris(): readonly string[] {
    return this.#namesOf(this.#certificate)?.uris ?? [];
  }

  peerDnsNames(): readonly string[] {
    return this.#namesOf(this.#certificate)?.dns ?? [];
  }

  peerCertificateHash(): string {
    return this.#certificate === undefined ? "" : certificateFingerprint(this.#certificate);
  }

  /** Returns the names in a certificate. They are parsed once, because policies read them for each request. */
  #namesOf(certificate: X509Certificate | undefined): CertificateNames | undefined {
    return certificate === undefined ? undefined : (this.#names ??= certificateNames(certificate));
  }
}
