import type { Random } from "../../base/index.ts";
import { defaultBalancing, type BalancingOptions, type LoadBalancer, type LoadBalancing } from "./balancing.ts";
import { MaglevBalancer } from "./maglev.ts";
import { RingHashBalancer } from "./ring-hash.ts";

export interface Balanced {
  readonly config: { readonly weight: number; readonly hostname?: string | undefined };
  readonly activeRequests: number;
  /** The endpoint's `ip:port`, which determines its place on the ring or in the table. */
  readonly name?: string;
}

export interface BalancerInput<Endpoint> {
  readonly endpoints: readonly Endpoint[];
  readonly random: Random;
  readonly options?: BalancingOptions;
  /** Returns an endpoint's weight, in place of the configured one. */
  readonly weightOf?: (endpoint: Endpoint) => number;
}

export function createLoadBalancer<Endpoint extends Balanced>(
  policy: LoadBalancing,
  input: BalancerInput<Endpoint>,
): LoadBalancer<Endpoint> {
  const { endpoints, random, options = defaultBalancing, weightOf = (endpoint) => endpoint.config.weight } = input;
  const [first] = endpoints;
  if (first === undefined || endpoints.length === 1) return { pick: () => first };
  const weights = endpoints.map(weightOf);
  const keyOf = ({ config, name }: Endpoint): string =>
    (options.hashesHostnames ? config.hostname : undefined) ?? name ?? "";
  if (policy === "ring-hash")
    return new RingHashBalancer(endpoints, weights, {
      keyOf,
      minSize: options.minRingSize,
      maxSize: options.maxRingSize,
      random,
    });
  if (policy === "maglev")
    return new MaglevBalancer(endpoints, weights, { keyOf, tableSize: options.tableSize, random });
  const equal = weights.every((weight) => weight === weights[0]);
  if (policy === "random")
    return equal ? { pick: () => at(endpoints, random) } : weightedRandom(endpoints, weights, random);
  if (!equal)
    return new WeightedBalancer(endpoints, weights, policy === "least-request" ? options.activeRequestBias : 0);
  return policy === "round-robin"
    ? roundRobin(endpoints, random)
    : leastRequest(endpoints, random, options.choiceCount);
}

function at<Endpoint>(endpoints: readonly Endpoint[], random: Random): Endpoint | undefined {
  return endpoints[Math.floor(random() * endpoints.length)];
}

function leastRequest<Endpoint extends Balanced>(
  endpoints: readonly Endpoint[],
  random: Random,
  choices: number,
): LoadBalancer<Endpoint> {
  return {
    pick: () => {
      let best = at(endpoints, random);
      for (let choice = 1; choice < choices; choice += 1) {
        const other = at(endpoints, random);
        if ((other?.activeRequests ?? 0) < (best?.activeRequests ?? 0)) best = other;
      }
      return best;
    },
  };
}

function weightedRandom<Endpoint>(
  endpoints: readonly Endpoint[],
  weights: readonly number[],
  random: Random,
): LoadBalancer<Endpoint> {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return {
    pick: () => {
      let rest = random() * total;
      for (let index = 0; index < endpoints.length; index += 1) {
        rest -= weights[index] ?? 0;
        if (rest < 0) return endpoints[index];
      }
      return endpoints.at(-1);
    },
  };
}

function roundRobin<Endpoint>(endpoints: readonly Endpoint[], random: Random): LoadBalancer<Endpoint> {
  // Begin at a random endpoint, so that proxies that start together do not all choose the same one first.
  let next = Math.floor(random() * endpoints.length);
  return {
    pick: () => {
      next = next + 1 >= endpoints.length ? 0 : next + 1;
      return endpoints[next];
    },
  };
}

/**
 * Smooth weighted round robin. In a full round, each endpoint is chosen as often as its weight says, spread evenly over
 * the round. With the policy `least-request`, open requests reduce an endpoint's weight.
 */
class WeightedBalancer<Endpoint extends Balanced> implements LoadBalancer<Endpoint> {
  readonly #endpoints: readonly Endpoint[];
  readonly #weights: readonly number[];
  readonly #credit: Float64Array;
  readonly #bias: number;

  constructor(endpoints: readonly Endpoint[], weights: readonly number[], activeRequestBias: number) {
    this.#endpoints = endpoints;
    this.#weights = weights;
    this.#credit = new Float64Array(endpoints.length);
    this.#bias = activeRequestBias;
  }

  pick(): Endpoint | undefined {
    const credit = this.#credit;
    let total = 0;
    let best = 0;
    for (let index = 0; index < credit.length; index += 1) {
      const weight = (this.#weights[index] ?? 0) / this.#burden(this.#endpoints[index]?.activeRequests ?? 0);
      credit[index] = (credit[index] ?? 0) + weight;
      total += weight;
      if ((credit[index] ?? 0) > (credit[best] ?? 0)) best = index;
    }
    credit[best] = (credit[best] ?? 0) - total;
    return this.#endpoints[best];
  }

  #burden(activeRequests: number): number {
    if (this.#bias === 0) return 1;
    return this.#bias === 1 ? activeRequests + 1 : (activeRequests + 1) ** this.#bias;
  }
}
