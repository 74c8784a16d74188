export type LoadBalancing = "round-robin" | "least-request" | "random" | "ring-hash" | "maglev";

/** The parameters of a load balancing policy. The defaults are Envoy's. */
export interface BalancingOptions {
  /** The number of randomly chosen endpoints among which the policy `least-request` compares. */
  readonly choiceCount: number;
  /** How much open requests reduce an endpoint's weight. 0 means not at all, and 1 in proportion to their number. */
  readonly activeRequestBias: number;
  readonly minRingSize: number;
  readonly maxRingSize: number;
  /** The number of slots of a table of Maglev, a prime number. */
  readonly tableSize: number;
  /** Whether endpoints are placed on the ring or table by hostname instead of by address. */
  readonly hashesHostnames: boolean;
}

export const defaultBalancing: BalancingOptions = {
  choiceCount: 2,
  activeRequestBias: 1,
  minRingSize: 1024,
  maxRingSize: 8 * 1024 * 1024,
  tableSize: 65_537,
  hashesHostnames: false,
};

/** Chooses among the usable endpoints. Undefined if there is none. */
export interface LoadBalancer<Endpoint> {
  /**
   * `hash` is the 32-bit hash of the request. A later `attempt` of the same request, counted from 0, usually gets
   * another endpoint.
   */
  pick(hash?: number, attempt?: number): Endpoint | undefined;
}
