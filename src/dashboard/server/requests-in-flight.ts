import type { ServerResponse } from "node:http";
import type { Clock } from "../../base/index.ts";
import { limits } from "./limits.ts";
import { refusal } from "./problem.ts";

/** A user, or an address without a login. */
export interface RequestSender {
  readonly name: string;
  readonly isLoggedIn: boolean;
}

/**
 * Counts requests from their first byte until their response has been read, so that the memory for slow readers and
 * writers is bounded: in total, for all without a login, and for each sender, so that none can block the others. A
 * client that does not read its response in time is disconnected.
 */
export class RequestsInFlight {
  readonly #clock: Clock;
  /** The open responses of each sender, the oldest first. */
  readonly #ofSender = new Map<string, Set<ServerResponse>>();
  readonly #withoutLogin = new Set<string>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The number of addresses without a login that have open requests. */
  get addressesWithoutLogin(): number {
    return this.#withoutLogin.size;
  }

  /**
   * Counts a request of the sender until its response closes. If there are too many, the sender with the most loses its
   * oldest one to those with fewer. Throws `unavailable` if nobody has more.
   */
  enter({ name, isLoggedIn }: RequestSender, response: ServerResponse): void {
    const own = this.#ofSender.get(name) ?? new Set();
    if (own.size >= limits.requestsOfSender)
      throw refusal("unavailable", `${own.size} of your requests are being answered already`, "try again in a moment");
    if (!isLoggedIn) this.#makeRoom(own.size, this.#withoutLogin, limits.requestsWithoutLogin);
    this.#makeRoom(own.size, this.#ofSender.keys(), limits.requestsInFlight);
    // A refused sender leaves no trace, because only the end of a request would remove it.
    if (!isLoggedIn) this.#withoutLogin.add(name);
    this.#ofSender.set(name, own.add(response));
    response.once("close", () => this.#leave(name, response));
  }

  #makeRoom(own: number, senders: Iterable<string>, max: number): void {
    let count = 0;
    let largest: ReadonlySet<ServerResponse> = new Set();
    for (const sender of senders) {
      const open = this.#ofSender.get(sender) ?? new Set();
      count += open.size;
      if (open.size > largest.size) largest = open;
    }
    if (count < max) return;
    const [oldest] = largest;
    if (oldest === undefined || largest.size <= own + 1)
      throw refusal("unavailable", "the server is busy", "try again in a moment");
    oldest.destroy();
    // The response closes later.
    for (const name of this.#ofSender.keys()) this.#leave(name, oldest);
  }

  #leave(name: string, response: ServerResponse): void {
    const open = this.#ofSender.get(name);
    open?.delete(response);
    if (open?.size !== 0) return;
    this.#ofSender.delete(name);
    this.#withoutLogin.delete(name);
  }

  /** Starts the time limit for reading the response, which has been written. */
  answered(response: ServerResponse): void {
    if (response.closed) return;
    const cut = this.#clock.after(limits.answerReadMs, () => response.destroy());
    response.once("close", () => cut[Symbol.dispose]());
  }
}
