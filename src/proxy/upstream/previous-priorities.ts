import type { LoadBalancer } from "./balancing.ts";
import type { EndpointSelection, Selectable } from "./endpoint-selection.ts";

/**
 * Sends the retries of a request to priorities that its earlier attempts have not used, like Envoy's
 * `previous_priorities`. After every `after` attempts, all priorities tried so far are excluded, and the others share
 * the load by their health. If none of these can take requests, the exclusion starts over. If no priority at all can
 * take requests, nothing is excluded.
 */
export class PreviousPriorities {
  readonly #after: number;
  #attempts: number[] = [];
  readonly #excluded = new Set<number>();

  constructor(after: number) {
    this.#after = after;
  }

  /** Called for each failed attempt. */
  tried(priority: number): void {
    this.#attempts.push(priority);
  }

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
