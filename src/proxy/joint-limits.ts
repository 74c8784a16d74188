import type { SharedBuckets } from "./filters/tokens.ts";
import type { CircuitBreaker, BreakerLimits } from "./upstream/circuit-breaker.ts";
import type { Ejection } from "./upstream/cluster.ts";

/** What the threads of a proxy count together, so that its limits hold for all of them. */
export interface JointLimits {
  breaker(cluster: string, limits: BreakerLimits): CircuitBreaker;
  readonly buckets: SharedBuckets;
  ejected(ejection: Ejection): void;
}
