import { TlsContext } from "../../../net/index.ts";

export interface CertificateMaterial {
  /** PEM, leaf first. */
  readonly certificate: string;
  readonly privateKey: string;
  /** PEM; what client certificates are verified with. */
  readonly clientRoots: string;
}

/** What a server shows to those who connect from now on. It can be replaced while connections are open. */
export class RotatingCertificate {
  #context: TlsContext;

  constructor(material: CertificateMaterial) {
    this.#context = contextOf(material);
  }

  get context(): TlsContext {
    return this.#context;
  }

  /** Throws a user error for what cannot be used; the former stays then. */
  rotate(material: CertificateMaterial): void {
    this.#context = contextOf(material);
  }
}

/** Without tickets: who comes again shows its certificate again, to the roots of now. */
function contextOf({ certificate, privateKey, clientRoots }: CertificateMaterial): TlsContext {
  return TlsContext.create({
    certificateChain: certificate,
    privateKey,
    roots: clientRoots,
    minVersion: "TLSv1.2",
    noTickets: true,
  });
}
