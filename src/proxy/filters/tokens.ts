import type { Clock } from "../../base/index.ts";

export interface BucketSize {
  readonly max: number;
  readonly perFill: number;
  readonly fillIntervalMs: number;
}

/** The level of a limit, as responses show it to a client. */
export interface TokenLevel {
  readonly max: number;
  /** Whole tokens. */
  readonly remaining: number;
  /** The time until the next token, rounded up. 0 if a token is left. */
  readonly resetSeconds: number;
}

/** A limit from which each request takes tokens. */
export interface Tokens {
  /**
   * Takes this many tokens, or one. Returns false if fewer are left. As in Envoy, it also returns false for a count of
   * 0.
   */
  take(count?: number): boolean;
  /** Gives tokens back, until the limit is full. */
  give(count: number): void;
  level(): TokenLevel;
}

/** Creates token buckets that the threads of a proxy share. */
export interface SharedBuckets {
  /**
   * Starts the buckets of a resource. Each thread compiles the resource in the same order, so the n-th bucket is the
   * same in all threads.
   */
  begin(resource: string): void;
  make(size: BucketSize): Tokens;
}

/**
 * The arithmetic of a bucket that fills evenly, as in Envoy, and not all at once after each interval. The state is one
 * number: the time on a monotonic clock at which the bucket was empty.
 */
export class TokenFlow {
  readonly #size: BucketSize;

  constructor(size: BucketSize) {
    this.#size = size;
  }

  /**
   * Takes tokens. Returns the new state: the time at which the bucket was empty, if it has filled evenly since. Returns
   * undefined if the bucket has too few.
   */
  take(emptyMs: number, nowMs: number, count: number): number | undefined {
    const tokens = this.#tokens(emptyMs, nowMs);
    return tokens < count || count === 0 ? undefined : nowMs - this.#msFor(tokens - count);
  }

  /** Gives tokens back. Returns the new state, like {@link take}. */
  give(emptyMs: number, nowMs: number, count: number): number {
    return nowMs - this.#msFor(Math.min(this.#size.max, this.#tokens(emptyMs, nowMs) + count));
  }

  level(emptyMs: number, nowMs: number): TokenLevel {
    const tokens = this.#tokens(emptyMs, nowMs);
    return {
      max: this.#size.max,
      remaining: Math.floor(tokens),
      resetSeconds: tokens < 1 ? Math.ceil(this.#msFor(1 - tokens) / 1000) : 0,
    };
  }

  #tokens(emptyMs: number, nowMs: number): number {
    const { max, perFill, fillIntervalMs } = this.#size;
    return Math.min(max, ((nowMs - emptyMs) * perFill) / fillIntervalMs);
  }

  #msFor(tokens: number): number {
    return (tokens * this.#size.fillIntervalMs) / this.#size.perFill;
  }
}

/** A bucket of one thread, which is full at first. */
export class TokenBucket implements Tokens {
  readonly #flow: TokenFlow;
  readonly #clock: Pick<Clock, "steadyMs">;
  #emptyMs = -Infinity;

  constructor({ clock, ...size }: BucketSize & { readonly clock: Pick<Clock, "steadyMs"> }) {
    this.#flow = new TokenFlow(size);
    this.#clock = clock;
  }

  take(count = 1): boolean {
    const emptyMs = this.#flow.take(this.#emptyMs, this.#clock.steadyMs(), count);
    if (emptyMs === undefined) return false;
    this.#emptyMs = emptyMs;
    return true;
  }

  give(count: number): void {
    this.#emptyMs = this.#flow.give(this.#emptyMs, this.#clock.steadyMs(), count);
  }

  level(): TokenLevel {
    return this.#flow.level(this.#emptyMs, this.#clock.steadyMs());
  }
}
