import type { ServerResponse } from "node:http";
import { connectionsToEnd, type Clock } from "../../base/index.ts";
import { limits } from "./limits.ts";
import { refusal } from "../problem.ts";

export interface RequestSender {
  /** The name of the user, or without a login the network of the client's address ({@link clientNetwork}). */
  readonly name: string;
  readonly isLoggedIn: boolean;
}

/**
 * Counts requests from their first byte until their response has been read. This bounds the memory for clients that
 * read or write slowly. There are limits for all requests, for those without a login, and for each sender, so that no
 * sender can keep out the others. A client that does not read its response in time is disconnected.
 */
export class RequestsInFlight {
  readonly #clock: Clock;
  /** By sender. The oldest are first. */
  readonly #ofSender = new Map<string, Set<ServerResponse>>();
  readonly #withoutLogin = new Set<string>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get addressesWithoutLogin(): number {
    return this.#withoutLogin.size;
  }

  /**
   * Counts a request of the sender until its response closes. If there are too many, the sender with the most loses its
   * oldest to a sender with fewer. Throws `unavailable` if the sender itself has too many, or if none has more than it.
   */
  enter({ name, isLoggedIn }: RequestSender, response: ServerResponse): void {
    const own = this.#ofSender.get(name) ?? new Set();
    if (own.size >= limits.requestsOfSender)
      throw refusal("unavailable", `${own.size} of your requests are being answered already`, "try again in a moment");
    if (!isLoggedIn) this.#makeRoom(name, this.#withoutLogin, limits.requestsWithoutLogin);
    this.#makeRoom(name, this.#ofSender.keys(), limits.requestsInFlight);
    // Record the sender only now: nothing would remove one whose request is refused.
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
    // The response closes only later, so forget it now.
    this.#leave(loser, oldest);
  }

  #leave(name: string, response: ServerResponse): void {
    const open = this.#ofSender.get(name);
    open?.delete(response);
    if (open?.size !== 0) return;
    this.#ofSender.delete(name);
    this.#withoutLogin.delete(name);
  }

  /** Starts the time limit for a client to read a response that has been written. */
  answered(response: ServerResponse): void {
    if (response.closed) return;
    const cut = this.#clock.after(limits.answerReadMs, () => response.destroy());
    response.once("close", () => cut[Symbol.dispose]());
  }
}
