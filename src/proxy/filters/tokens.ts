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
  /** The time until the next token, rounded up. 0 if there is one. */
  readonly resetSeconds: number;
}

/** A limit of which each request takes one token. */
export interface Tokens {
  /** Returns false if no token is left. */
  take(): boolean;
  level(): TokenLevel;
}

/** Creates token buckets that the threads of a proxy share. */
export interface SharedBuckets {
  /** Starts the buckets of a resource. Each thread compiles it in the same order, so the n-th bucket is the same one. */
  begin(resource: string): void;
  make(size: BucketSize): Tokens;
}

/**
 * The arithmetic of a bucket into which tokens flow evenly, as in Envoy. They do not arrive all at once after each
 * interval. The state is one number: when the bucket was empty, on a monotonic clock.
 */
export class TokenFlow {
  readonly #size: BucketSize;

  constructor(size: BucketSize) {
    this.#size = size;
  }

  /** When the bucket was empty, as computed after one token is taken. Undefined if there is no token. */
  take(emptyMs: number, nowMs: number): number | undefined {
    const tokens = this.#tokens(emptyMs, nowMs);
    return tokens < 1 ? undefined : nowMs - this.#msFor(tokens - 1);
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

  take(): boolean {
    const emptyMs = this.#flow.take(this.#emptyMs, this.#clock.steadyMs());
    if (emptyMs === undefined) return false;
    this.#emptyMs = emptyMs;
    return true;
  }

  level(): TokenLevel {
    return this.#flow.level(this.#emptyMs, this.#clock.steadyMs());
  }
}
