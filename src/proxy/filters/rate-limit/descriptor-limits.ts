import type { Descriptor, DescriptorEntry, DescriptorHits } from "../../routing/route.ts";
import type { Tokens } from "../tokens.ts";

/** A limit for requests whose descriptor has exactly these entries. An entry without a value matches any value. */
export interface DescriptorLimit {
  readonly entries: readonly DescriptorEntry[];
  /** Whether requests above the limit are only counted, not refused. */
  readonly isShadow: boolean;
  /** Makes the tokens of the limit. If an entry has no value, each combination of values gets its own tokens. */
  readonly make: () => Tokens;
  readonly fillRate: number;
}

interface Bucket extends Pick<DescriptorLimit, "fillRate" | "isShadow"> {
  readonly tokens: Tokens;
}

export interface AppliedLimit extends Pick<DescriptorLimit, "isShadow"> {
  readonly tokens: Tokens;
  readonly hits: DescriptorHits;
}

const oneHit: DescriptorHits = { count: 1, refills: false };

export class DescriptorLimits {
  readonly #fixed = new Map<string, Bucket>();
  readonly #open: readonly { readonly limit: DescriptorLimit; readonly buckets: RecentBuckets }[];

  /** A limit that has entries without a value keeps tokens for the `maxOpen` most recent combinations of values. */
  constructor(limits: readonly DescriptorLimit[], maxOpen: number) {
    for (const limit of limits) if (!limit.entries.some(isOpen)) this.#fixed.set(keyOf(limit.entries), bucketOf(limit));
    this.#open = limits
      .filter(({ entries }) => entries.some(isOpen))
      .map((limit) => ({ limit, buckets: new RecentBuckets(limit, maxOpen) }));
  }

  /** The limits that apply to a request. The limit whose tokens refill most slowly comes first. */
  of(descriptors: readonly Descriptor[]): readonly AppliedLimit[] {
    return descriptors
      .flatMap((descriptor) => {
        const bucket = this.#bucketOf(descriptor);
        return bucket === undefined ? [] : { ...bucket, hits: descriptor.hits ?? oneHit };
      })
      .sort((left, right) => left.fillRate - right.fillRate);
  }

  #bucketOf(descriptor: Descriptor): Bucket | undefined {
    const { entries } = descriptor;
    const key = keyOf(entries);
    return this.#fixed.get(key) ?? this.#open.find(({ limit }) => covers(limit.entries, entries))?.buckets.get(key);
  }
}

class RecentBuckets {
  readonly #limit: DescriptorLimit;
  readonly #max: number;
  readonly #buckets = new Map<string, Bucket>();

  constructor(limit: DescriptorLimit, max: number) {
    this.#limit = limit;
    this.#max = max;
  }

  get(key: string): Bucket {
    const bucket = this.#buckets.get(key) ?? bucketOf(this.#limit);
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    const [oldest] = this.#buckets.keys();
    if (this.#buckets.size > this.#max && oldest !== undefined) this.#buckets.delete(oldest);
    return bucket;
  }
}

function bucketOf({ fillRate, isShadow, make }: DescriptorLimit): Bucket {
  return { fillRate, isShadow, tokens: make() };
}

export function isOpen({ value }: DescriptorEntry): boolean {
  return value === "";
}

function covers(limit: readonly DescriptorEntry[], entries: readonly DescriptorEntry[]): boolean {
  return (
    limit.length === entries.length &&
    limit.every((entry, index) => {
      const given = entries[index];
      return given !== undefined && given.key === entry.key && (isOpen(entry) || given.value === entry.value);
    })
  );
}

/** A text that is the same for equal lists of entries. */
export function keyOf(entries: readonly DescriptorEntry[]): string {
  return JSON.stringify(entries.map(({ key, value }) => [key, value]));
}
