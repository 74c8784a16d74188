import { transientError } from "../../base/index.ts";
import type { CertificateSource, ReceivedCertificates, WorkloadCertificate } from "../../dataplane/tunnels/index.ts";

/** The main thread, which fetches certificates for all workers. */
interface CertificateOwner {
  need(identity: string): Promise<void>;
  trouble(identity: string): Promise<string | undefined>;
}

/** The certificates of a worker. The main thread fetches them on demand and renews them. */
export class RequestedCertificates implements CertificateSource {
  readonly #received: ReceivedCertificates;
  readonly #owner: CertificateOwner;

  constructor(received: ReceivedCertificates, owner: CertificateOwner) {
    this.#received = received;
    this.#owner = owner;
  }

  peek(identity: string): WorkloadCertificate | undefined {
    return this.#received.peek(identity);
  }

  async fetch(identity: string, signal?: AbortSignal): Promise<WorkloadCertificate> {
    const known = this.peek(identity);
    if (known !== undefined) return known;
    void this.#owner.need(identity).catch(() => undefined);
    try {
      return await this.#received.fetch(identity, signal);
    } catch {
      const cause = await this.#owner.trouble(identity).catch(() => undefined);
      throw transientError(
        "certificate-wait",
        `no certificate for ${identity} in time${cause === undefined ? "" : `: ${cause}`}`,
      );
    }
  }
}
