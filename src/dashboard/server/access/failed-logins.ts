import { clientNetwork, type Clock } from "../../../base/index.ts";
import { limits } from "../limits.ts";
import { refusal } from "../../problem.ts";

const minuteMs = 60_000;

/**
 * Failed logins of the last minute, by the network of their source address. So somebody who guesses tokens locks out
 * only their own network. All clients behind one port-forward or gateway share an address.
 */
export class FailedLogins {
  readonly #clock: Clock;
  /** The times of failures by network. The network with the latest failure is the last key. */
  readonly #failures = new Map<string, number[]>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#failures.size;
  }

  /** Throws `unavailable` after too many failures from this address' network. */
  check(address: string): void {
    if (this.#recent(clientNetwork(address)).length >= limits.failedLoginsPerMinute)
      throw refusal("unavailable", "too many logins from your address have failed within a minute", "wait a minute");
  }

  add(address: string): void {
    const place = clientNetwork(address);
    const recent = this.#recent(place);
    this.#failures.delete(place);
    this.#failures.set(place, [...recent, this.#clock.steadyMs()].slice(-limits.failedLoginsPerMinute));
    for (const [oldest, times] of this.#failures) {
      if (this.#failures.size <= limits.failedLoginAddresses && (times.at(-1) ?? 0) > this.#clock.steadyMs() - minuteMs)
        break;
      this.#failures.delete(oldest);
    }
  }

  #recent(place: string): readonly number[] {
    const sinceMs = this.#clock.steadyMs() - minuteMs;
    return (this.#failures.get(place) ?? []).filter((atMs) => atMs > sinceMs);
  }
}
