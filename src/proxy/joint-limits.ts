import type { SharedBuckets } from "./filters/tokens.ts";
import type { CircuitBreaker, BreakerLimits } from "./upstream/circuit-breaker.ts";
import type { Ejection } from "./upstream/cluster.ts";

/** Counts that the threads of a proxy share, so that limits apply to the proxy as a whole. */
export interface JointLimits {
  breaker(cluster: string, limits: BreakerLimits): CircuitBreaker;
  readonly buckets: SharedBuckets;
  ejected(ejection: Ejection): void;
}
