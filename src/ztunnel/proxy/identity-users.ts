import type { CertificateManager } from "../../dataplane/index.ts";

/** Certificates are kept for the identities of pods that are here, and no longer: the CA would refuse to renew them. */
export class IdentityUsers {
  readonly #certificates: CertificateManager;
  readonly #counts = new Map<string, number>();

  constructor(certificates: CertificateManager) {
    this.#certificates = certificates;
  }

  /** Fetches the identity's certificate ahead, and keeps it until the last user has disposed what this answers. */
  use(identity: string): Disposable {
    this.#counts.set(identity, (this.#counts.get(identity) ?? 0) + 1);
    this.#certificates.prefetch(identity);
    return { [Symbol.dispose]: () => this.#release(identity) };
  }

  #release(identity: string): void {
    const left = (this.#counts.get(identity) ?? 0) - 1;
    if (left > 0) {
      this.#counts.set(identity, left);
      return;
    }
    this.#counts.delete(identity);
    this.#certificates.forget(identity);
  }
}
