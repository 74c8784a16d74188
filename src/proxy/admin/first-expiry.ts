import { X509Certificate } from "node:crypto";
import type { SecretStore } from "../tls/secret-store.ts";

const dayMs = 86_400_000;

/** Finds the certificate in use that expires first. */
export class FirstExpiry {
  readonly #secrets: SecretStore;
  readonly #nowMs: () => number;
  /** When the first certificate of each text expires. It holds the texts of the last call. */
  #known = new Map<string, number>();
  #hadOwn = false;

  constructor(secrets: SecretStore, nowMs: () => number) {
    this.#secrets = secrets;
    this.#nowMs = nowMs;
  }

  /** The number of whole days until then. 0 if a certificate has expired. Undefined without certificates. */
  days(): number | undefined {
    const known = new Map<string, number>();
    for (const text of this.#texts()) known.set(text, this.#known.get(text) ?? firstEndMs(text));
    this.#known = known;
    // The store no longer returns the proxy's own certificate once it has expired.
    const own = this.#secrets.certificate({ kind: "sds", name: "default" });
    if (own === undefined && this.#hadOwn) return 0;
    if (own !== undefined) this.#hadOwn = true;
    const firstMs = Math.min(...known.values());
    return firstMs === Infinity ? undefined : Math.max(0, Math.floor((firstMs - this.#nowMs()) / dayMs));
  }

  *#texts(): Iterable<string> {
    const store = this.#secrets;
    const names = [
      { kind: "sds", name: "default" } as const,
      { kind: "sds", name: "ROOTCA" } as const,
      ...[...store.applied().values()].map(({ ref }) => ref),
    ];
    for (const ref of names) {
      const chain = ref.name === "ROOTCA" ? undefined : store.certificate(ref)?.chain;
      const text = chain ?? store.roots(ref)?.roots;
      if (text !== undefined) yield text;
    }
    for (const material of store.fromFiles().values()) yield "chain" in material ? material.chain : material.roots;
  }
}

function firstEndMs(text: string): number {
  const ends = [...text.matchAll(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)].map(([pem]) => {
    try {
      return Date.parse(new X509Certificate(pem).validTo);
    } catch {
      // A certificate that cannot be read is reported where it is used.
      return Infinity;
    }
  });
  return Math.min(...ends);
}
