import { X509Certificate } from "node:crypto";
import { certificateBlocks } from "../../base/index.ts";
import type { SecretStore } from "../tls/secret-store.ts";
import { certificatesInUse, wholeDaysUntil } from "./certificates-in-use.ts";

export class FirstExpiry {
  readonly #secrets: SecretStore;
  readonly #nowMs: () => number;
  /**
   * When the first certificate of each PEM text expires. Contains the texts of the last call, so that the next call
   * parses only new texts.
   */
  #known = new Map<string, number>();
  #hadOwn = false;

  constructor(secrets: SecretStore, nowMs: () => number) {
    this.#secrets = secrets;
    this.#nowMs = nowMs;
  }

  /**
   * The number of whole days until the first certificate expires. 0 if a certificate has expired. Undefined without
   * certificates.
   */
  days(): number | undefined {
    const known = new Map<string, number>();
    for (const text of this.#texts()) known.set(text, this.#known.get(text) ?? firstEndMs(text));
    this.#known = known;
    // Once the proxy's own certificate has expired, the store no longer returns it.
    const own = this.#secrets.certificate({ kind: "sds", name: "default" });
    if (own === undefined && this.#hadOwn) return 0;
    if (own !== undefined) this.#hadOwn = true;
    const firstMs = Math.min(...known.values());
    return firstMs === Infinity ? undefined : wholeDaysUntil(firstMs, this.#nowMs());
  }

  *#texts(): Iterable<string> {
    for (const { chain, roots } of certificatesInUse(this.#secrets)) yield* [chain.pem, roots.pem];
    for (const material of this.#secrets.fromFiles().values())
      yield "chain" in material ? material.chain : material.roots;
  }
}

/** When the first certificate of a PEM text expires, as Unix time in milliseconds. Infinity without certificates. */
function firstEndMs(text: string): number {
  const ends = certificateBlocks(text).map((block) => {
    try {
      return Date.parse(new X509Certificate(block).validTo);
    } catch {
      // Ignore an unreadable certificate here: the code that uses it reports it.
      return Infinity;
    }
  });
  return Math.min(...ends);
}
