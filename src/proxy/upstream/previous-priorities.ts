import type { LoadBalancer } from "./balancing.ts";
import type { EndpointSelection, Selectable } from "./endpoint-selection.ts";

/**
 * Leads the retries of one request to other priorities than its attempts went to, as Envoy's `previous_priorities` does: after every
 * `after` attempts all priorities tried so far are left out, and the others share the load by their health. When none of these can
 * take requests it begins anew; when none of all can, nothing is left out.
 */
export class PreviousPriorities {
  readonly #after: number;
  #attempts: number[] = [];
  readonly #excluded = new Set<number>();

  constructor(after: number) {
    this.#after = after;
  }

  /** Told of each attempt that failed. */
  tried(priority: number): void {
    this.#attempts.push(priority);
  }

  /** What the next attempt's endpoint is chosen by. */
  choose<Endpoint extends Selectable>(selection: EndpointSelection<Endpoint>): LoadBalancer<Endpoint> {
    const attempts = this.#attempts;
    if (attempts.length < this.#after) return selection;
    if (attempts.length % this.#after === 0) for (const priority of attempts) this.#excluded.add(priority);
    const others = selection.without(this.#excluded);
    if (others !== undefined) return others;
    this.#excluded.clear();
    this.#attempts = [];
    return selection;
  }
}
