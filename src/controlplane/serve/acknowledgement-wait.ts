import type { Clock } from "../../base/index.ts";

/**
 * The maximum time that a response waits for an acknowledgement. A client that does not acknowledge the resources on
 * which routes depend must not delay routes forever.
 */
const longestWaitMs = 2000;
const timerSlackMs = 10;

/** How long a response waits until the client has acknowledged the resources that it depends on. */
export class AcknowledgementWait {
  readonly #clock: Clock;
  readonly #onOver: () => void;
  #sinceMs: number | undefined;
  #timer: Disposable | undefined;

  /** `onOver` is called when the longest wait has passed without an acknowledgement. */
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

  /** Ends the wait, because the client has acknowledged something or is gone. */
  end(): void {
    this.#sinceMs = undefined;
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }
}
