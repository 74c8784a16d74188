import type { CompliancePolicy } from "../../../base/compliance/index.ts";
import { TlsContext } from "../../../net/index.ts";
import { ClientTrust } from "./client-certificate.ts";

export interface CertificateMaterial {
  /** The certificate chain in PEM, leaf first. */
  readonly certificate: string;
  readonly privateKey: string;
  /** The roots for client certificates, in PEM. */
  readonly clientRoots: string;
  /** The revocation lists for client certificates, in PEM. Absent or empty means none. */
  readonly revocations?: string;
}

/** The certificate for new connections. It can be replaced while connections are open. */
export class RotatingCertificate {
  readonly #compliance: CompliancePolicy | undefined;
  #context: TlsContext;
  #material: CertificateMaterial;
  #trust: ClientTrust;

  constructor(material: CertificateMaterial, compliance?: CompliancePolicy) {
    this.#compliance = compliance;
    this.#context = contextOf(material, compliance);
    this.#material = material;
    this.#trust = trustOf(material);
  }

  get context(): TlsContext {
    return this.#context;
  }

  /** The roots and revocation lists by which clients' certificates are judged, even those of open connections. */
  get trust(): ClientTrust {
    return this.#trust;
  }

  /** Throws a user error if the certificate cannot be used. The previous one then stays. */
  rotate(material: CertificateMaterial): void {
    const context = contextOf(material, this.#compliance);
    // A new trust object makes each open connection judge its client's certificate again.
    if (!trustsTheSame(material, this.#material)) this.#trust = trustOf(material);
    this.#material = material;
    this.#context = context;
  }
}

function trustOf({ clientRoots, revocations = "" }: CertificateMaterial): ClientTrust {
  return new ClientTrust(clientRoots, revocations);
}

function trustsTheSame(left: CertificateMaterial, right: CertificateMaterial): boolean {
  return left.clientRoots === right.clientRoots && (left.revocations ?? "") === (right.revocations ?? "");
}

/**
 * The server issues no session tickets, so a client that returns must show its certificate again, which the current
 * roots verify.
 */
function contextOf(
  { certificate, privateKey, clientRoots }: CertificateMaterial,
  compliance: CompliancePolicy | undefined,
): TlsContext {
  return TlsContext.create({
    certificateChain: certificate,
    privateKey,
    roots: clientRoots,
    minVersion: "TLSv1.2",
    noTickets: true,
    compliance,
  });
}
