export interface BreakerThresholds {
  readonly maxConnections: number;
  readonly maxPendingRequests: number;
  readonly maxRequests: number;
  readonly maxRetries: number;
}

export interface BreakerLimits extends BreakerThresholds {
  /** A retry limit that replaces {@link maxRetries}: a fraction (0 to 1) of the open requests, but at least `min`. */
  readonly retryBudget: { readonly fraction: number; readonly min: number } | undefined;
  /** Whether statistics show how much of each limit is left. Absent means no. */
  readonly tracksRemaining?: boolean;
}

export class Budget {
  readonly #limit: () => number;
  active = 0;
  overflows = 0;
  /** How many units were taken within the limit. */
  taken = 0;

  constructor(limit: () => number) {
    this.#limit = limit;
  }

  /** The number that is compared with the limit. It includes the units of other threads if they share the limit. */
  get open(): number {
    return this.active;
  }

  get exhausted(): boolean {
    return this.open >= this.#limit();
  }

  get remaining(): number {
    return Math.max(0, this.#limit() - this.open);
  }

  /** Takes one unit, which the caller must give back. If the limit is reached, counts the refusal and returns false. */
  take(): boolean {
    if (this.exhausted) {
      this.overflows += 1;
      return false;
    }
    this.active += 1;
    this.taken += 1;
    return true;
  }

  /** Takes one unit even if the limit is reached. */
  force(): void {
    this.active += 1;
  }

  give(): void {
    this.active -= 1;
  }
}

export const breakerResources = ["connections", "pending", "requests", "retries", "relayed"] as const;
export type BreakerResource = (typeof breakerResources)[number];

/**
 * Keeps a cluster within its limits. A request that would exceed the limit of requests, or of requests that wait for a
 * connection, is refused at once with the response flag UO.
 */
export class CircuitBreaker {
  /**
   * Connections of all endpoints together. Unless the limit is 0, an endpoint that has no connection may open one
   * beyond it, because its users could otherwise wait forever.
   */
  readonly connections: Budget;
  readonly pending: Budget;
  readonly requests: Budget;
  readonly retries: Budget;
  /** Relayed TCP connections. Their limit is separate from the limit of connections that carry requests. */
  readonly relayed: Budget;

  /** `budget` creates the count of a resource. By default, each thread counts separately. */
  constructor(
    limits: BreakerLimits,
    budget: (resource: BreakerResource, limit: () => number) => Budget = (_resource, limit) => new Budget(limit),
  ) {
    this.connections = budget("connections", () => limits.maxConnections);
    this.pending = budget("pending", () => limits.maxPendingRequests);
    this.requests = budget("requests", () => limits.maxRequests);
    const retries = limits.retryBudget;
    this.retries = budget(
      "retries",
      retries === undefined
        ? () => limits.maxRetries
        : () => Math.max(retries.min, retries.fraction * this.requests.open),
    );
    this.relayed = budget("relayed", () => limits.maxConnections);
  }
}
