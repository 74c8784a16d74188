import type { ServerResponse } from "node:http";
import type { Clock } from "../../base/index.ts";
import { limits } from "./limits.ts";
import { refusal } from "./problem.ts";

/**
 * Counts requests from their first byte until their response has been read, so that the memory for slow readers and
 * writers is bounded: in total, and for each user, so that no user can block others. A client that does not read its
 * response in time is disconnected.
 */
export class RequestsInFlight {
  readonly #clock: Clock;
  readonly #ofSender = new Map<string, number>();
  #count = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Counts a request of the sender until its response closes. Throws `unavailable` if there are too many. */
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

  /** Starts the time limit for reading the response, which has been written. */
  answered(response: ServerResponse): void {
    if (response.closed) return;
    const cut = this.#clock.after(limits.answerReadMs, () => response.destroy());
    response.once("close", () => cut[Symbol.dispose]());
  }
}
