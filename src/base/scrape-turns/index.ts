// Turns of the readers of metrics, so that long answers of some pods do not delay other work.
import { takeTurn } from "../take-turn.ts";

/**
 * Lets one scrape read its answer at a time, for a slice of time in each round of the event loop. A query then waits
 * for one slice, and not for the slices of all scrapes. Namespaces take turns, and so do the scrapes of a namespace,
 * because anybody who may start pods decides how long their answers are.
 */
export class ScrapeTurns {
  /** The waiting scrapes, by namespace. The namespace that had the last turn is at the end. */
  readonly #waiting = new Map<string, (() => void)[]>();

  /** Resolves when the scrape may read for a slice. */
  async next(namespace: string): Promise<void> {
    if (this.#waiting.size === 0) setImmediate(() => this.#give());
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiting = this.#waiting.get(namespace);
    if (waiting === undefined) this.#waiting.set(namespace, [resolve]);
    else waiting.push(resolve);
    await promise;
  }

  #give(): void {
    const turn = takeTurn(this.#waiting);
    if (this.#waiting.size > 0) setImmediate(() => this.#give());
    turn?.item();
  }
}
