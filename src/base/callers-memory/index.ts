// Shares a bounded memory among the callers of a server.

/**
 * The bytes that a server keeps for its callers. A caller may use half of the memory that the others leave. So a caller
 * that makes the server keep all it can takes at most half, and the next such caller half of the rest.
 */
export class CallersMemory {
  readonly #maxBytes: number;
  readonly #keptBy = new Map<string, number>();
  #keptBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Records that the server keeps more for a caller, or less if negative. */
  add(caller: string, bytes: number): void {
    this.#keptBytes += bytes;
    const own = (this.#keptBy.get(caller) ?? 0) + bytes;
    if (own === 0) this.#keptBy.delete(caller);
    else this.#keptBy.set(caller, own);
  }

  /** Whether the server keeps more for a caller than that caller may use. */
  isExceededBy(caller: string): boolean {
    return (this.#keptBy.get(caller) ?? 0) > this.#maxBytes - this.#keptBytes;
  }
}
