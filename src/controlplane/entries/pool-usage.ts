import type { AddressPool } from "./address-pool.ts";

/** The divisor for the part of a pool that is reserved for namespaces with less than their share. */
const keptPart = 8n;

/**
 * How much of one pool each namespace uses. An address counts once for each namespace. Addresses that users write are
 * counted apart from allocated ones, so that nobody can fill a pool by writing addresses.
 */
export class PoolUsage {
  readonly pool: AddressPool;
  readonly #given = new Map<string, number>();
  readonly #written = new Map<string, number>();
  #givenToAll = 0;

  constructor(pool: AddressPool) {
    this.pool = pool;
  }

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
   * Whether the namespace may get another address. It may as long as more than the reserved part of the pool is free.
   * After that, it may have at most half of what other namespaces leave of the pool.
   */
  mayGet(namespace: string): boolean {
    const free = this.pool.size - BigInt(this.#givenToAll);
    const kept = (this.pool.size + keptPart - 1n) / keptPart;
    return free > kept || !this.#exceedsShare(namespace, this.givenTo(namespace));
  }

  /**
   * Whether the namespace's allocated and written addresses together exceed its share. Others may then get the
   * addresses that it has only written.
   */
  writesTooMuch(namespace: string): boolean {
    return this.#exceedsShare(namespace, this.givenTo(namespace) + (this.#written.get(namespace) ?? 0));
  }

  #exceedsShare(namespace: string, count: number): boolean {
    const others = this.#givenToAll - this.givenTo(namespace);
    return BigInt(count) * 2n > this.pool.size - BigInt(others);
  }
}
