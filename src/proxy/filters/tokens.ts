import type { Clock } from "../../base/index.ts";

export interface BucketSize {
  readonly max: number;
  readonly perFill: number;
  readonly fillIntervalMs: number;
}

/** How full a limit is, as response headers show it to a client. */
export interface TokenLevel {
  readonly max: number;
  readonly remaining: number;
  /** The time until the next token, rounded up to seconds. 0 if a token is left. */
  readonly resetSeconds: number;
}

/** A limit from which each request takes tokens. */
export interface Tokens {
  /**
   * Takes `count` tokens, by default one. Returns false, and takes none, if fewer are left. As in Envoy, it also
   * returns false if `count` is 0.
   */
  take(count?: number): boolean;
  give(count: number): void;
  level(): TokenLevel;
}

/** Creates token buckets that the threads of a proxy share. */
export interface SharedBuckets {
  /**
   * Begins to make the buckets of a resource. All threads compile a resource in the same order, so the n-th bucket that
   * each of them makes for it is the same shared bucket.
   */
  begin(resource: string): void;
  make(size: BucketSize): Tokens;
}

/**
 * The arithmetic of a token bucket. As in Envoy, the bucket fills evenly, and not in one step at the end of each
 * interval. Its state is one number, `emptyMs`: when it would have been empty, on a monotonic clock, if it has only
 * been filled since.
 */
export class TokenFlow {
  readonly #size: BucketSize;

  constructor(size: BucketSize) {
    this.#size = size;
  }

  /** Takes tokens. Returns the new state (`emptyMs`). Returns undefined if the bucket has too few tokens. */
  take(emptyMs: number, nowMs: number, count: number): number | undefined {
    const tokens = this.#tokens(emptyMs, nowMs);
    return tokens < count || count === 0 ? undefined : nowMs - this.#msFor(tokens - count);
  }

  /** Gives tokens back. Returns the new state, as {@link take} does. */
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

/** A token bucket of one thread. It is full at first. */
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
