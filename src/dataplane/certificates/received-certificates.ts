import { transientError, onAbort } from "../../base/index.ts";
import type { CertificateSource, WorkloadCertificate } from "./certificate-types.ts";

/** Certificates that another thread fetches and renews. */
export class ReceivedCertificates implements CertificateSource {
  readonly #nowMs: () => number;
  readonly #known = new Map<string, WorkloadCertificate>();
  readonly #waiters = new Set<() => void>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  receive(certificate: WorkloadCertificate): void {
    this.#known.set(certificate.identity, certificate);
    for (const resolve of this.#waiters) resolve();
  }

  forget(identity: string): void {
    this.#known.delete(identity);
  }

  peek(identity: string): WorkloadCertificate | undefined {
    const known = this.#known.get(identity);
    return known === undefined || known.notAfterMs <= this.#nowMs() ? undefined : known;
  }

  async fetch(identity: string, signal?: AbortSignal): Promise<WorkloadCertificate> {
    for (;;) {
      const known = this.peek(identity);
      if (known !== undefined) return known;
      if (signal?.aborted === true) throw transientError("certificate-wait", `no certificate for ${identity} in time`);
      await this.#changed(signal);
    }
  }

  #changed(signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiters.add(resolve);
    const abort = onAbort(signal, resolve);
    return promise.finally(() => {
      this.#waiters.delete(resolve);
      abort[Symbol.dispose]();
    });
  }
}
