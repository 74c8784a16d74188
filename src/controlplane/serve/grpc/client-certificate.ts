import { X509Certificate } from "node:crypto";
import type { Clock } from "../../../base/index.ts";
import { peerChain, pemBlocks, RevokedCertificates } from "../../../x509/index.ts";

export class ClientTrust {
  readonly #roots: readonly X509Certificate[];
  readonly #revoked: RevokedCertificates;

  /** Takes PEM. `revocations` may be empty. Throws if a part cannot be read. */
  constructor(roots: string, revocations: string) {
    this.#roots = pemBlocks(roots).map((pem) => new X509Certificate(pem));
    this.#revoked = new RevokedCertificates(Buffer.from(revocations));
  }

  /** Why a certificate is not trusted, or until when it is trusted. */
  judge(certificate: X509Certificate): Verdict {
    const chain = peerChain(certificate, this.#roots);
    if (chain === undefined) return { fault: "no root that is trusted now has issued it", untilMs: Infinity };
    return {
      fault: this.#revoked.revocationIn(chain),
      untilMs: Math.min(
        ...chain.links.map((link) => endOf(link.certificate)),
        Math.max(...chain.anchors.flat().map(endOf)),
      ),
    };
  }
}

interface Verdict {
  readonly fault: string | undefined;
  readonly untilMs: number;
}

/**
 * The certificate of a client whose chain was trusted at the handshake. It is judged again at each use, because the
 * connection may outlive the certificate and its root, and a newer revocation list may contain it.
 */
export class ClientCertificate {
  readonly #certificate: X509Certificate;
  readonly #trust: () => ClientTrust;
  readonly #clock: Clock;
  #judgedBy: ClientTrust | undefined;
  #verdict: Verdict = { fault: undefined, untilMs: 0 };
  #isUsed = false;

  constructor(certificate: X509Certificate, trust: () => ClientTrust, clock: Clock) {
    this.#certificate = certificate;
    this.#trust = trust;
    this.#clock = clock;
  }

  /** Whether the certificate has authenticated a call. The connection must not outlive it then. */
  get isUsed(): boolean {
    return this.#isUsed;
  }

  /** The names that the certificate proves now, as node:tls prints them, or why it proves none. */
  names(): { readonly subjectAltName: string; readonly fault?: undefined } | { readonly fault: string } {
    const fault = this.fault();
    if (fault !== undefined) return { fault };
    return { subjectAltName: this.#certificate.subjectAltName ?? "" };
  }

  markUsed(): void {
    this.#isUsed = true;
  }

  /** Why the certificate is no longer accepted. Undefined if it is still accepted. */
  fault(): string | undefined {
    const trust = this.#trust();
    if (trust !== this.#judgedBy) {
      this.#verdict = trust.judge(this.#certificate);
      this.#judgedBy = trust;
    }
    const { fault, untilMs } = this.#verdict;
    if (fault !== undefined) return fault;
    return this.#clock.nowMs() > untilMs ? `it expired at ${new Date(untilMs).toISOString()}` : undefined;
  }
}

function endOf(certificate: X509Certificate): number {
  return certificate.validToDate.getTime();
}
