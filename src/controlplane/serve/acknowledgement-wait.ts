import type { Clock } from "../../base/index.ts";

/**
 * How long a response waits for an acknowledgement. A client that does not acknowledge the resources on which routes
 * depend must not delay the routes forever.
 */
const longestWaitMs = 2000;
const timerSlackMs = 10;

/** How long a response waits for the client to acknowledge the resources on which it depends. */
export class AcknowledgementWait {
  readonly #clock: Clock;
  readonly #onOver: () => void;
  #sinceMs: number | undefined;
  #timer: Disposable | undefined;

  constructor(clock: Clock, onOver: () => void) {
    this.#clock = clock;
    this.#onOver = onOver;
  }

  /** Whether the response may be sent without the acknowledgement. The first call begins the wait. */
  isOver(): boolean {
    const nowMs = this.#clock.steadyMs();
    this.#sinceMs ??= nowMs;
    if (nowMs - this.#sinceMs >= longestWaitMs) return true;
    this.#timer ??= this.#clock.after(longestWaitMs + timerSlackMs, () => {
      this.#timer = undefined;
      this.#onOver();
    });
    return false;
  }

  end(): void {
    this.#sinceMs = undefined;
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }
}
