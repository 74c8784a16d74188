/** An interpreter, as the memory that all of them share sees it. */
export interface MemoryHolder {
  readonly heldBytes: number;
  /** Ends the interpreter. Its script begins again without its globals. */
  drop(): void;
}

const defaultMaxBytes = 256 * 1024 * 1024;

/**
 * The memory of all interpreters of a thread. When it is full, the interpreter that holds the most memory ends.
 * Otherwise many large scripts could exhaust the proxy's memory, or keep small scripts from running.
 */
export class SharedLuaMemory {
  readonly #maxBytes: number;
  /** Weak, because an interpreter without a script or a run is collected. */
  readonly #holders = new Set<WeakRef<MemoryHolder>>();

  constructor(maxBytes = defaultMaxBytes) {
    this.#maxBytes = maxBytes;
  }

  add(holder: MemoryHolder): void {
    this.#holders.add(new WeakRef(holder));
  }

  /** Whether an interpreter may hold this many bytes more. Ends larger ones if necessary. */
  mayGrow(grower: MemoryHolder, bytes: number): boolean {
    for (;;) {
      let total = bytes;
      let largest = grower;
      for (const reference of this.#holders) {
        const holder = reference.deref();
        if (holder === undefined) this.#holders.delete(reference);
        else {
          total += holder.heldBytes;
          if (holder.heldBytes > largest.heldBytes) largest = holder;
        }
      }
      if (total <= this.#maxBytes) return true;
      if (largest === grower) return false;
      largest.drop();
    }
  }
}
