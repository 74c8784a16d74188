import { createHash } from "node:crypto";

const keyBytes = 8;
const cellBytes = 4;
/** The maximum number of entries that are tried for a key. */
const maxProbes = 64;

/**
 * Counters by name, in memory that threads share. A name gets cells on its first use, with the value 0, and keeps them.
 * Every thread finds the cells of a name without asking another thread.
 */
export class SharedTable {
  readonly #keys: BigInt64Array;
  readonly #cellsEach: number;
  readonly cells: Int32Array;

  constructor(memory: SharedArrayBuffer, cellsEach: number) {
    const entries = memory.byteLength / (keyBytes + cellsEach * cellBytes);
    this.#keys = new BigInt64Array(memory, 0, entries);
    this.cells = new Int32Array(memory, entries * keyBytes);
    this.#cellsEach = cellsEach;
  }

  /** Allocates memory for this many names. The kernel provides its pages only when they are first used. */
  static memory(entries: number, cellsEach: number): SharedArrayBuffer {
    return new SharedArrayBuffer(entries * (keyBytes + cellsEach * cellBytes));
  }

  /** Returns where the cells of a name begin. Undefined if other names have all the entries that are tried for it. */
  find(name: string): number | undefined {
    const key = keyOf(name);
    const size = this.#keys.length;
    const home = Number(BigInt.asUintN(32, key)) % size;
    for (let probe = 0; probe < Math.min(maxProbes, size); probe += 1) {
      const at = (home + probe) % size;
      const known = Atomics.compareExchange(this.#keys, at, 0n, key);
      if (known === 0n || known === key) return at * this.#cellsEach;
    }
    return undefined;
  }

  *all(): Iterable<number> {
    for (const [at, key] of this.#keys.entries()) if (key !== 0n) yield at * this.#cellsEach;
  }
}

/**
 * A 64-bit hash of a name, long enough that the names of one proxy do not collide. It is never 0, which marks a free
 * entry.
 */
function keyOf(name: string): bigint {
  return createHash("sha256").update(name).digest().readBigInt64LE() | 1n;
}
