import type { TlsContext } from "../../net/index.ts";

export interface WorkloadCertificate {
  /** SPIFFE id. */
  readonly identity: string;
  readonly privateKeyPem: string;
  /** Leaf first, without the root. */
  readonly chainPem: string;
  /** The trusted roots, PEM, one after the other. */
  readonly rootsPem: string;
  /** Those of them that came with the certificate. */
  readonly issuedRootsPem: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly serialNumber: string;
  /** For handshakes, both ends; made once a certificate. */
  readonly context: TlsContext;
}

/** A source of certificates for identities; the same for a CA client and for a fake CA. */
export interface CertificateAuthority {
  /** Signs a request. `impersonatedIdentity` is set when the identity is not the caller's own (ztunnel). */
  sign(request: SigningRequest, signal: AbortSignal): Promise<readonly string[]>;
}

export interface SigningRequest {
  /** SPIFFE id that the CSR asks for. */
  readonly identity: string;
  readonly csrPem: string;
  readonly validitySeconds: number;
}

export interface CertificateSource {
  /** The certificate of an identity; waits for the first one until the signal is aborted. Concurrent calls share one request. */
  fetch(identity: string, signal?: AbortSignal): Promise<WorkloadCertificate>;
  /** The certificate if it is there and valid now. */
  peek(identity: string): WorkloadCertificate | undefined;
}
