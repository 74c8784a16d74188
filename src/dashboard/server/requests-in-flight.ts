import type { ServerResponse } from "node:http";
import type { Clock } from "../../base/index.ts";
import { limits } from "./limits.ts";
import { refusal } from "./problem.ts";

/**
 * Requests from their first byte until their answer has been read, so that what is held for slow readers and slow writers is bounded: of all, and of
 * each user, whom no other's can keep from being answered. Whoever has not read the answer within its time is cut off.
 */
export class RequestsInFlight {
  readonly #clock: Clock;
  readonly #ofSender = new Map<string, number>();
  #count = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Until the response has closed, one more of this sender. Throws `unavailable` where there are too many. */
  enter(sender: string, response: ServerResponse): void {
    const own = this.#ofSender.get(sender) ?? 0;
    if (this.#count >= limits.requestsInFlight)
      throw refusal("unavailable", "the server is busy", "try again in a moment");
    if (own >= limits.requestsOfSender)
      throw refusal("unavailable", `${own} of your requests are being answered already`, "try again in a moment");
    this.#count += 1;
    this.#ofSender.set(sender, own + 1);
    response.once("close", () => {
      this.#count -= 1;
      const left = (this.#ofSender.get(sender) ?? 1) - 1;
      if (left === 0) this.#ofSender.delete(sender);
      else this.#ofSender.set(sender, left);
    });
  }

  /** The answer has been handed over: from now on it is to be read. */
  answered(response: ServerResponse): void {
    if (response.closed) return;
    const cut = this.#clock.after(limits.answerReadMs, () => response.destroy());
    response.once("close", () => cut[Symbol.dispose]());
  }
}
