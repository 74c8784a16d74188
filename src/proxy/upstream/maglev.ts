import type { Random } from "../../base/index.ts";
import { hashText } from "../terms/hash-text.ts";
import type { LoadBalancer } from "./balancing.ts";

export interface MaglevOptions<Endpoint> {
  readonly keyOf: (endpoint: Endpoint) => string;
  /** A prime number, well above the number of endpoints. */
  readonly tableSize: number;
  readonly random: Random;
}

const free = 0xffff_ffff;

/**
 * Consistent hashing by a table (Eisenbud and others, NSDI 2016). Endpoints take turns to claim the slots that they
 * prefer, so each gets its share almost exactly, and few hashes move when an endpoint comes or goes. Built on first
 * use.
 */
export class MaglevBalancer<Endpoint> implements LoadBalancer<Endpoint> {
  readonly #endpoints: readonly Endpoint[];
  readonly #weights: readonly number[];
  readonly #options: MaglevOptions<Endpoint>;
  #table: Uint32Array | undefined;

  constructor(endpoints: readonly Endpoint[], weights: readonly number[], options: MaglevOptions<Endpoint>) {
    this.#endpoints = endpoints;
    this.#weights = weights;
    this.#options = options;
  }

  pick(hash = Math.floor(this.#options.random() * 0x1_0000_0000), attempt = 0): Endpoint | undefined {
    const table = (this.#table ??= this.#fill());
    // A later attempt reads a distant slot. Neighbouring slots are unrelated in this table anyway.
    const slot = attempt === 0 ? hash % table.length : hashText(`${hash}`, attempt) % table.length;
    return this.#endpoints[table[slot] ?? 0];
  }

  #fill(): Uint32Array {
    const { tableSize, keyOf } = this.#options;
    const table = new Uint32Array(tableSize).fill(free);
    const greatest = Math.max(...this.#weights);
    const claims = this.#endpoints.map((endpoint, index) => {
      const key = keyOf(endpoint);
      return {
        owner: index,
        at: hashText(key) % tableSize,
        skip: (hashText(key, 1) % (tableSize - 1)) + 1,
        share: (this.#weights[index] ?? 0) / greatest,
        taken: 0,
      };
    });
    let filled = 0;
    for (let turn = 1; filled < tableSize; turn += 1) {
      for (const claim of claims) {
        // An endpoint with a lower weight skips turns.
        if (claim.taken >= turn * claim.share) continue;
        while (table[claim.at] !== free) claim.at = (claim.at + claim.skip) % tableSize;
        table[claim.at] = claim.owner;
        claim.taken += 1;
        filled += 1;
        if (filled === tableSize) break;
      }
    }
    return table;
  }
}
