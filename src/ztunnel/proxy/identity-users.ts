import type { CertificateManager } from "../../dataplane/index.ts";

/** Keeps certificates only for identities of pods on this node, because the CA would refuse to renew others. */
export class IdentityUsers {
  readonly #certificates: CertificateManager;
  readonly #counts = new Map<string, number>();

  constructor(certificates: CertificateManager) {
    this.#certificates = certificates;
  }

  /** Prefetches the identity's certificate, and keeps it until the last user has disposed the returned object. */
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
