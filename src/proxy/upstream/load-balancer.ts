import type { Random } from "../../base/index.ts";

export type LoadBalancing = "round-robin" | "least-request" | "random";

/** What balancing looks at of an endpoint. */
export interface Balanced {
  readonly config: { readonly weight: number };
  readonly activeRequests: number;
}

/** Chooses among endpoints that may take a request; undefined when there is none. */
export interface LoadBalancer<Endpoint> {
  pick(): Endpoint | undefined;
}

export function createLoadBalancer<Endpoint extends Balanced>(policy: LoadBalancing, endpoints: readonly Endpoint[], random: Random): LoadBalancer<Endpoint> {
  const first = endpoints[0];
  if (endpoints.length <= 1) return { pick: () => first };
  const equal = endpoints.every((endpoint) => endpoint.config.weight === first?.config.weight);
  if (!equal) return new WeightedBalancer(endpoints, policy === "least-request");
  if (policy === "round-robin") return roundRobin(endpoints, random);
  if (policy === "random") return { pick: () => at(endpoints, random) };
  return {
    pick: () => {
      const one = at(endpoints, random);
      const other = at(endpoints, random);
      return (one?.activeRequests ?? 0) <= (other?.activeRequests ?? 0) ? one : other;
    },
  };
}

function at<Endpoint>(endpoints: readonly Endpoint[], random: Random): Endpoint | undefined {
  return endpoints[Math.floor(random() * endpoints.length)];
}

function roundRobin<Endpoint>(endpoints: readonly Endpoint[], random: Random): LoadBalancer<Endpoint> {
  // Proxies that start together must not all begin with the same endpoint.
  let next = Math.floor(random() * endpoints.length);
  return {
    pick: () => {
      next = next + 1 >= endpoints.length ? 0 : next + 1;
      return endpoints[next];
    },
  };
}

/**
 * Smooth weighted round robin: over a full turn each endpoint is chosen as often as its weight says, spread evenly.
 * With least requests, a weight counts less the more requests its endpoint has.
 */
class WeightedBalancer<Endpoint extends Balanced> implements LoadBalancer<Endpoint> {
  readonly #endpoints: readonly Endpoint[];
  readonly #credit: Float64Array;
  readonly #leastRequest: boolean;

  constructor(endpoints: readonly Endpoint[], leastRequest: boolean) {
    this.#endpoints = endpoints;
    this.#credit = new Float64Array(endpoints.length);
    this.#leastRequest = leastRequest;
  }

  pick(): Endpoint | undefined {
    const credit = this.#credit;
    let total = 0;
    let best = 0;
    for (let index = 0; index < credit.length; index += 1) {
      const endpoint = this.#endpoints[index];
      const weight = endpoint === undefined ? 0 : endpoint.config.weight / (this.#leastRequest ? endpoint.activeRequests + 1 : 1);
      credit[index] = (credit[index] ?? 0) + weight;
      total += weight;
      if ((credit[index] ?? 0) > (credit[best] ?? 0)) best = index;
    }
    credit[best] = (credit[best] ?? 0) - total;
    return this.#endpoints[best];
  }
}
