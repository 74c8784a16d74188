import type { CompliancePolicy } from "../../base/compliance/index.ts";
import type { TlsContext } from "../../net/index.ts";
import type { RevocationLists } from "./revocation-lists.ts";
import type { RootRestriction } from "./root-restrictions.ts";

export interface WorkloadCertificate {
  /** The SPIFFE id. */
  readonly identity: string;
  readonly privateKeyPem: string;
  /** The certificate chain in PEM, with the leaf first and without the root. */
  readonly chainPem: string;
  /** The trusted roots in PEM, concatenated. */
  readonly rootsPem: string;
  readonly restrictions: readonly RootRestriction[];
  /** The PEM roots that the CA sent with the certificate. */
  readonly issuedRootsPem: string;
  /** The time at which the CA's answer arrived. */
  readonly receivedAtMs: number;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly serialNumber: string;
  /** The context for handshakes in both roles. Each certificate has one context. */
  readonly context: TlsContext;
}

/** Further rules for handshakes with workload certificates, in addition to the certificate and its roots. */
export interface HandshakeRules {
  readonly revocations?: RevocationLists | undefined;
  readonly compliance?: CompliancePolicy | undefined;
  /** Whether TLS 1.2 is accepted and offered in addition to TLS 1.3. */
  readonly allowsTls12?: boolean | undefined;
}

/** A source of certificates for identities: a CA client or a fake CA. */
export interface CertificateAuthority {
  /** Signs a request. Returns the chain in PEM, with the leaf first and the root or roots last. */
  sign(request: SigningRequest, signal: AbortSignal): Promise<readonly string[]>;
}

export interface SigningRequest {
  /** The SPIFFE id in the CSR. */
  readonly identity: string;
  readonly csrPem: string;
  readonly validitySeconds: number;
}

export interface CertificateSource {
  /**
   * Returns the certificate of an identity. If there is none, waits for it until the signal aborts. Concurrent calls
   * share one request.
   */
  fetch(identity: string, signal?: AbortSignal): Promise<WorkloadCertificate>;
  /** Returns the certificate if it exists and is valid now. */
  peek(identity: string): WorkloadCertificate | undefined;
}
