import type { AddressPool } from "./address-pool.ts";

/** The part of a pool, as a divisor, that is kept for namespaces with less than their share. */
const keptPart = 8n;

/**
 * How much of one pool each namespace has. An address counts once for each namespace. What users write counts apart
 * from what was given, so that nobody can fill a pool by writing addresses.
 */
export class PoolUsage {
  readonly pool: AddressPool;
  readonly #given = new Map<string, number>();
  readonly #written = new Map<string, number>();
  #givenToAll = 0;

  constructor(pool: AddressPool) {
    this.pool = pool;
  }

  /** Counts one more or one less address that lies in the pool. */
  count(namespace: string, isWritten: boolean, more: 1 | -1): void {
    const counts = isWritten ? this.#written : this.#given;
    const count = (counts.get(namespace) ?? 0) + more;
    if (count === 0) counts.delete(namespace);
    else counts.set(namespace, count);
    if (!isWritten) this.#givenToAll += more;
  }

  get isFull(): boolean {
    return BigInt(this.#givenToAll) >= this.pool.size;
  }

  givenTo(namespace: string): number {
    return this.#given.get(namespace) ?? 0;
  }

  /**
   * Whether the namespace may get another address: always while the pool has room, and then only up to half of what
   * other namespaces leave of the pool.
   */
  mayGet(namespace: string): boolean {
    const free = this.pool.size - BigInt(this.#givenToAll);
    const kept = (this.pool.size + keptPart - 1n) / keptPart;
    return free > kept || !this.#exceedsShare(namespace, this.givenTo(namespace));
  }

  /** Whether the namespace has and writes more than its share, so that others may get what it writes. */
  writesTooMuch(namespace: string): boolean {
    return this.#exceedsShare(namespace, this.givenTo(namespace) + (this.#written.get(namespace) ?? 0));
  }

  #exceedsShare(namespace: string, count: number): boolean {
    const others = this.#givenToAll - this.givenTo(namespace);
    return BigInt(count) * 2n > this.pool.size - BigInt(others);
  }
}
