/** The limits of what a cluster may have open at once. */
export interface BreakerLimits {
  readonly maxConnections: number;
  readonly maxPendingRequests: number;
  readonly maxRequests: number;
  readonly maxRetries: number;
  /** Replaces {@link maxRetries}: a fraction (0 to 1) of the open requests, but at least this many. */
  readonly retryBudget: { readonly fraction: number; readonly min: number } | undefined;
}

/** One resource with a limit. */
export class Budget {
  readonly #limit: () => number;
  active = 0;
  /** How often the limit was reached. */
  overflows = 0;

  constructor(limit: () => number) {
    this.#limit = limit;
  }

  get exhausted(): boolean {
    return this.active >= this.#limit();
  }

  /** False, and counted, if the limit is reached. What was taken must be returned. */
  take(): boolean {
    if (this.exhausted) {
      this.overflows += 1;
      return false;
    }
    this.active += 1;
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

/** Keeps a cluster within its limits. What exceeds them is refused at once (response flag UO). */
export class CircuitBreaker {
  /**
   * Connections of all endpoints together. An endpoint without a connection may always open one; otherwise whoever
   * waits for it would wait for ever.
   */
  readonly connections: Budget;
  /** Requests that wait for a connection. */
  readonly pending: Budget;
  readonly requests: Budget;
  readonly retries: Budget;

  constructor(limits: BreakerLimits) {
    this.connections = new Budget(() => limits.maxConnections);
    this.pending = new Budget(() => limits.maxPendingRequests);
    this.requests = new Budget(() => limits.maxRequests);
    const budget = limits.retryBudget;
    this.retries = new Budget(
      budget === undefined
        ? () => limits.maxRetries
        : () => Math.max(budget.min, budget.fraction * this.requests.active),
    );
  }
}
