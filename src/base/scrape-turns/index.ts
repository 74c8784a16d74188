// Turns of the readers of metrics, so that long answers of some pods delay nothing else.
import { takeTurn } from "../take-turn.ts";

/**
 * Lets one scrape at a time read its answer, for one slice of time in each round of the event loop. So queries wait for
 * one slice, and not for the slices of all scrapes. Namespaces take turns, and so do the scrapes within each namespace,
 * because anybody who may start pods decides how long their answers are.
 */
export class ScrapeTurns {
  /** The scrapes that wait, by namespace. The namespace that had a turn last comes last. */
  readonly #waiting = new Map<string, (() => void)[]>();

  /** Resolves when the scrape may go on for a slice. */
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
