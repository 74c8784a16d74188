/** The maximum number of waiting requests of one caller. Pipelined ones may be many. */
const maxWaiting = 256;

/** A new connection takes a round of the event loop to be accepted, and one until its first bytes are read. */
const roundsBetween = 3;

/**
 * Gives one caller a turn in every third round of the event loop, and the others theirs before its next one, also those
 * that connect during its turn. So a caller with many requests delays neither the others nor the process's other work
 * by more than one of them.
 */
export class Turns {
  /** The waiting requests by caller. The caller with the next turn comes first. */
  readonly #waiting = new Map<string, (() => void)[]>();
  #isScheduled = false;
  /** The caller that had the last turn. */
  #last: string | undefined;

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
    const pass = (rounds: number): void => {
      if (rounds > 0) setImmediate(() => pass(rounds - 1));
      else {
        this.#isScheduled = false;
        this.#give();
      }
    };
    pass(roundsBetween);
  }

  /** A caller with more requests moves to the end. One that has come during its turn is before it. */
  #give(): void {
    const [first, second] = this.#waiting.keys();
    const caller = first === this.#last ? (second ?? first) : first;
    if (caller === undefined) return;
    const mine = this.#waiting.get(caller) ?? [];
    this.#waiting.delete(caller);
    const begin = mine.shift();
    if (mine.length > 0) this.#waiting.set(caller, mine);
    this.#last = caller;
    if (this.#waiting.size > 0) this.#schedule();
    begin?.();
  }
}
