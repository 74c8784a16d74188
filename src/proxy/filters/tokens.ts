/** What requests take one of each, while there are any. */
export interface Tokens {
  take(): boolean;
}

export interface BucketSize {
  readonly max: number;
  readonly perFill: number;
  readonly fillIntervalMs: number;
}

/** Where tokens come from that several threads of a proxy share. */
export interface SharedBuckets {
  /** What is made from now on belongs to this resource, whose every compilation makes the same buckets in the same order. */
  begin(resource: string): void;
  make(size: BucketSize): Tokens;
}
