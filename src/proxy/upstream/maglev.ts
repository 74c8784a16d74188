import type { Random } from "../../base/index.ts";
import { hashText } from "../terms/hash-text.ts";
import type { LoadBalancer } from "./balancing.ts";

export interface MaglevOptions<Endpoint> {
  readonly keyOf: (endpoint: Endpoint) => string;
  /**
   * The number of slots, a prime number well above the number of endpoints. Above {@link maxSlots}, the table has that
   * many slots.
   */
  readonly tableSize: number;
  readonly random: Random;
}

const free = 0xffff_ffff;

/**
 * The maximum number of slots of a table, a prime number. A thread serves nobody while it fills a table, which it does
 * again after each change of the endpoints. Envoy's largest table, with five million slots, takes a second.
 */
const maxSlots = 131_071;

interface Claim {
  readonly owner: number;
  at: number;
  readonly skip: number;
  readonly share: number;
  taken: number;
  /** The turn in which the endpoint claims its next slot. */
  due: number;
}

/**
 * Consistent hashing by a table (Maglev: Eisenbud and others, NSDI 2016). Endpoints claim the slots that they prefer in
 * turns. So each endpoint gets its share almost exactly, and few hashes move when an endpoint comes or goes. The table
 * is made on first use.
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
    // Read an unrelated slot for a later attempt. Neighbouring slots belong to unrelated endpoints anyway.
    const slot = attempt === 0 ? hash % table.length : hashText(`${hash}`, attempt) % table.length;
    return this.#endpoints[table[slot] ?? 0];
  }

  #fill(): Uint32Array {
    const { keyOf } = this.#options;
    const tableSize = Math.min(this.#options.tableSize, maxSlots);
    const table = new Uint32Array(tableSize).fill(free);
    const greatest = this.#weights.reduce((found, weight) => Math.max(found, weight), 0);
    const claims = this.#endpoints.map((endpoint, index): Claim => {
      const key = keyOf(endpoint);
      return {
        owner: index,
        at: hashText(key) % tableSize,
        skip: (hashText(key, 1) % (tableSize - 1)) + 1,
        share: (this.#weights[index] ?? 0) / greatest,
        taken: 0,
        due: 1,
      };
    });
    // The list is a heap already: all turns are equal, and the owners ascend.
    for (let filled = 0; filled < tableSize; filled += 1) {
      const [claim] = claims;
      if (claim === undefined) break;
      while (table[claim.at] !== free) claim.at = (claim.at + claim.skip) % tableSize;
      table[claim.at] = claim.owner;
      claim.taken += 1;
      // An endpoint with a lower weight skips turns.
      claim.due = Math.floor(claim.taken / claim.share) + 1;
      sink(claims);
    }
    return table;
  }
}

/** Moves the first claim of the heap to its place. The order is by `due`, then by the endpoint's position. */
function sink(heap: Claim[]): void {
  let at = 0;
  for (;;) {
    let first = at;
    for (const child of [2 * at + 1, 2 * at + 2])
      if (child < heap.length && precedes(heap, child, first)) first = child;
    if (first === at) return;
    const [moved, risen] = [heap[at], heap[first]];
    if (moved === undefined || risen === undefined) return;
    heap[at] = risen;
    heap[first] = moved;
    at = first;
  }
}

function precedes(heap: readonly Claim[], left: number, right: number): boolean {
  const [one, other] = [heap[left], heap[right]];
  if (one === undefined || other === undefined) return false;
  return one.due < other.due || (one.due === other.due && one.owner < other.owner);
}
