/**
 * The range queries that may be in progress at once. Each keeps its samples and points between its turns, which may be
 * hundreds of megabytes.
 */
const maxInProgress = 2;

/** Bounds the range queries that are in progress at once. Each address of a client has at most one. */
export class QueriesInProgress {
  readonly #addresses = new Set<string>();

  /** Runs the query once there is room. Until then it waits for its address's turns. */
  async run<Answer>(address: string, nextTurn: () => Promise<void>, query: () => Promise<Answer>): Promise<Answer> {
    while (this.#addresses.size >= maxInProgress || this.#addresses.has(address)) await nextTurn();
    this.#addresses.add(address);
    try {
      return await query();
    } finally {
      this.#addresses.delete(address);
    }
  }
}
