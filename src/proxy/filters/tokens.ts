/** A limit of which each request takes one token. `take` returns false if none is left. */
export interface Tokens {
  take(): boolean;
}

export interface BucketSize {
  readonly max: number;
  readonly perFill: number;
  readonly fillIntervalMs: number;
}

/** Creates token buckets that the threads of a proxy share. */
export interface SharedBuckets {
  /** Starts the buckets of a resource. Each thread compiles it in the same order, so the n-th bucket is the same one. */
  begin(resource: string): void;
  make(size: BucketSize): Tokens;
}
