/**
 * The maximum number of range queries in progress at once. Each keeps its samples and points between its turns, and
 * these may be hundreds of megabytes.
 */
const maxInProgress = 2;

/** Limits the number of range queries that are in progress at once. Each client address has at most one. */
export class QueriesInProgress {
  readonly #addresses = new Set<string>();

  /** Runs the query as soon as the limits allow it. Waits for this in the turns of the client address. */
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
