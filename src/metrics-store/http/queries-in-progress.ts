/**
 * The maximum number of range queries in progress. Each keeps its samples and points between its turns, which may be
 * hundreds of megabytes.
 */
const maxInProgress = 2;

/** Limits how many range queries are in progress. A client address may have one. */
export class QueriesInProgress {
  readonly #addresses = new Set<string>();

  /** Runs the query as soon as the limits allow it. Until then, it waits in the turns of the client address. */
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
