export type LoadBalancing = "round-robin" | "least-request" | "random" | "ring-hash" | "maglev";

/** The parameters of a load balancing policy. The defaults are Envoy's. */
export interface BalancingOptions {
  /** The number of endpoints that least-requests compares. */
  readonly choiceCount: number;
  /** How much open requests reduce a weight: 0 means not at all, and 1 in proportion. */
  readonly activeRequestBias: number;
  readonly minRingSize: number;
  readonly maxRingSize: number;
  /** A prime number. */
  readonly tableSize: number;
  /** Whether endpoints are placed by hostname instead of address. */
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
  /** `hash` is the request's, of 32 bits. A later `attempt` (from 0) of the same request chooses another endpoint. */
  pick(hash?: number, attempt?: number): Endpoint | undefined;
}
