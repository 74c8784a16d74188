import { createHash } from "node:crypto";

const keyBytes = 8;
const cellBytes = 4;
/** Entries that are looked at for a key, one after the other. */
const maxProbes = 64;

/**
 * Counters by name in memory that threads share. A name gets its cells, all of them 0, when a thread first asks for it, and keeps
 * them: which they are, no thread has to tell another.
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

  /** Memory for so many names. The kernel backs it page by page, as they come. */
  static memory(entries: number, cellsEach: number): SharedArrayBuffer {
    return new SharedArrayBuffer(entries * (keyBytes + cellsEach * cellBytes));
  }

  /** Where the cells of a name begin; undefined: there is no room for it. */
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

  /** Where the cells of each name begin. */
  *all(): Iterable<number> {
    for (const [at, key] of this.#keys.entries()) if (key !== 0n) yield at * this.#cellsEach;
  }
}

/** 64 bits: that two names of one proxy share them does not happen. Never 0, which is an entry without a name. */
function keyOf(name: string): bigint {
  return createHash("sha256").update(name).digest().readBigInt64LE() | 1n;
}
