export type LoadBalancing = "round-robin" | "least-request" | "random" | "ring-hash" | "maglev";

/** The parameters of a policy. The defaults are Envoy's. */
export interface BalancingOptions {
  /** Endpoints that least requests compares. */
  readonly choiceCount: number;
  /** How much requests under way lower a weight: 0 not at all, 1 in proportion. */
  readonly activeRequestBias: number;
  readonly minRingSize: number;
  readonly maxRingSize: number;
  /** A prime number. */
  readonly tableSize: number;
  /** Endpoints are placed by their hostnames instead of their addresses. */
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

/** Chooses among endpoints that may take a request; undefined when there is none. */
export interface LoadBalancer<Endpoint> {
  /** `hash` is the request's, of 32 bits. A later `attempt` (from 0) of the same request chooses another endpoint. */
  pick(hash?: number, attempt?: number): Endpoint | undefined;
}
