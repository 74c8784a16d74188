/** The limits of one routing priority. */
export interface BreakerThresholds {
  readonly maxConnections: number;
  readonly maxPendingRequests: number;
  readonly maxRequests: number;
  readonly maxRetries: number;
}

/** The limits of what a cluster may have open at once. */
export interface BreakerLimits extends BreakerThresholds {
  /** Replaces {@link maxRetries}: a fraction (0 to 1) of the open requests, but at least this many. */
  readonly retryBudget: { readonly fraction: number; readonly min: number } | undefined;
  /** Whether statistics say how much is left of each limit. Absent means no. */
  readonly tracksRemaining?: boolean;
}

/** One resource with a limit. */
export class Budget {
  readonly #limit: () => number;
  active = 0;
  /** How often the limit was reached. */
  overflows = 0;
  /** How many units were taken within the limit. */
  taken = 0;

  constructor(limit: () => number) {
    this.#limit = limit;
  }

  /** The number that the limit applies to, including what other threads have taken of a shared budget. */
  get open(): number {
    return this.active;
  }

  get exhausted(): boolean {
    return this.open >= this.#limit();
  }

  /** How many units are left. 0 if more are taken than the limit allows. */
  get remaining(): number {
    return Math.max(0, this.#limit() - this.open);
  }

  /** Takes one unit, which must be returned. Returns false, and counts the refusal, if the limit is reached. */
  take(): boolean {
    if (this.exhausted) {
      this.overflows += 1;
      return false;
    }
    this.active += 1;
    this.taken += 1;
    return true;
  }

  /** Takes even beyond the limit. */
  force(): void {
    this.active += 1;
  }

  give(): void {
    this.active -= 1;
  }
}

/** The resources of a {@link CircuitBreaker}. */
export const breakerResources = ["connections", "pending", "requests", "retries", "relayed"] as const;
export type BreakerResource = (typeof breakerResources)[number];

/** Keeps a cluster within its limits. Whatever exceeds them is refused at once (response flag UO). */
export class CircuitBreaker {
  /**
   * The connections of all endpoints together. An endpoint without a connection may always open one, because its users
   * could otherwise wait forever.
   */
  readonly connections: Budget;
  /** Requests that wait for a connection. */
  readonly pending: Budget;
  readonly requests: Budget;
  readonly retries: Budget;
  /** TCP connections that are relayed. Their limit is separate from that of connections for requests. */
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
