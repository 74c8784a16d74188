/** The maximum number of waiting requests of one caller. Pipelined ones may be many. */
const maxWaiting = 256;

/**
 * Gives one caller a turn in each round of the event loop, and the others theirs before its next one. So a caller with
 * many requests delays neither the others nor the process's other work by more than one of them.
 */
export class Turns {
  /** The waiting requests by caller. The caller with the next turn comes first. */
  readonly #waiting = new Map<string, (() => void)[]>();
  #isScheduled = false;

  /** Resolves with the turn. Undefined if too many requests of the caller wait. */
  take(caller: string): Promise<void> | undefined {
    const mine = this.#waiting.get(caller) ?? [];
    if (mine.length >= maxWaiting) return undefined;
    return new Promise((begin) => {
      mine.push(begin);
      this.#waiting.set(caller, mine);
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#give();
    });
  }

  /** A caller with more requests moves to the end. */
  #give(): void {
    for (const [caller, mine] of this.#waiting) {
      this.#waiting.delete(caller);
      const begin = mine.shift();
      if (mine.length > 0) this.#waiting.set(caller, mine);
      if (this.#waiting.size > 0) this.#schedule();
      begin?.();
      return;
    }
  }
}
