/** What a cluster may have under way at once. */
export interface BreakerLimits {
  readonly maxConnections: number;
  readonly maxPendingRequests: number;
  readonly maxRequests: number;
  readonly maxRetries: number;
  /** Takes the place of {@link maxRetries}: a part (0 to 1) of the requests under way, but at least so many. */
  readonly retryBudget: { readonly fraction: number; readonly min: number } | undefined;
}

/** One thing of which there may be so much at once. */
export class Budget {
  readonly #limit: () => number;
  active = 0;
  /** How often there was no more. */
  overflows = 0;

  constructor(limit: () => number) {
    this.#limit = limit;
  }

  get exhausted(): boolean {
    return this.active >= this.#limit();
  }

  /** False, and counted, when there is no more. What was taken must be given back. */
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

/** Keeps a cluster from being asked for more than it may: what is beyond is refused at once (response flag UO). */
export class CircuitBreaker {
  /** Of all endpoints together. An endpoint without any may always have one: else who waits for it would wait for ever. */
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
