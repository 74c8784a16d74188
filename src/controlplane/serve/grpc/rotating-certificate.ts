import type { CompliancePolicy } from "../../../base/compliance/index.ts";
import { TlsContext } from "../../../net/index.ts";

export interface CertificateMaterial {
  /** PEM, leaf first. */
  readonly certificate: string;
  readonly privateKey: string;
  /** The roots for client certificates, in PEM. */
  readonly clientRoots: string;
}

/** The certificate for new connections. It can be replaced while connections are open. */
export class RotatingCertificate {
  readonly #compliance: CompliancePolicy | undefined;
  #context: TlsContext;

  constructor(material: CertificateMaterial, compliance?: CompliancePolicy) {
    this.#compliance = compliance;
    this.#context = contextOf(material, compliance);
  }

  get context(): TlsContext {
    return this.#context;
  }

  /** Throws a user error if the certificate cannot be used. The previous one then stays. */
  rotate(material: CertificateMaterial): void {
    this.#context = contextOf(material, this.#compliance);
  }
}

/** Without session tickets, a returning client must show its certificate again, and the current roots verify it. */
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
