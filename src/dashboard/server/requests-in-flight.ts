import type { ServerResponse } from "node:http";
import { connectionsToEnd, type Clock } from "../../base/index.ts";
import { limits } from "./limits.ts";
import { refusal } from "../problem.ts";

export interface RequestSender {
  /** The name of a user. For a client without a login, the network of its address ({@link clientNetwork}). */
  readonly name: string;
  readonly isLoggedIn: boolean;
}

/**
 * Counts requests from their first byte until their response has been read, so that the memory for slow readers and
 * writers is bounded. There are limits in total, for all senders without a login, and for each sender, so that no
 * sender can block the others. A client that does not read its response in time is disconnected.
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
   * Counts a request of the sender until its response closes. If there are too many, the sender with the most requests
   * loses its oldest one to a sender with fewer. Throws `unavailable` if no sender has more than this one.
   */
  enter({ name, isLoggedIn }: RequestSender, response: ServerResponse): void {
    const own = this.#ofSender.get(name) ?? new Set();
    if (own.size >= limits.requestsOfSender)
      throw refusal("unavailable", `${own.size} of your requests are being answered already`, "try again in a moment");
    if (!isLoggedIn) this.#makeRoom(name, this.#withoutLogin, limits.requestsWithoutLogin);
    this.#makeRoom(name, this.#ofSender.keys(), limits.requestsInFlight);
    // Record the sender only now, because nothing removes a sender whose request was refused.
    if (!isLoggedIn) this.#withoutLogin.add(name);
    this.#ofSender.set(name, own.add(response));
    response.once("close", () => this.#leave(name, response));
  }

  #makeRoom(newcomer: string, senders: Iterable<string>, max: number): void {
    const held = new Map(
      [...senders].map((sender) => [sender, this.#ofSender.get(sender) ?? new Set<ServerResponse>()] as const),
    );
    if ([...held.values()].reduce((count, open) => count + open.size, 0) < max) return;
    const ends = connectionsToEnd(held, newcomer, 1);
    const [loser, [oldest] = []] = [...held].find(([sender]) => ends?.(sender) === true) ?? [];
    if (loser === undefined || oldest === undefined)
      throw refusal("unavailable", "the server is busy", "try again in a moment");
    oldest.destroy();
    // Forget the response now, because it closes only later.
    this.#leave(loser, oldest);
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
