import type { Labels } from "../../promql/index.ts";
import type { SeriesSamples } from "./series-samples.ts";

/** The owner of a series: a target, and the namespace whose users control what the target exposes. */
export interface SeriesOwner {
  readonly namespace: string;
  readonly target: string;
}

export interface StoredSeries {
  readonly labels: Labels;
  readonly samples: SeriesSamples;
  readonly owner: SeriesOwner;
  /** The approximate memory of the labels. */
  readonly labelBytes: number;
  /** The approximate memory of the places in the index that this series was the first to need. */
  readonly placeBytes: number;
}

/** What all series of a namespace use together. */
export interface NamespaceUsage {
  readonly targets: Map<string, Set<StoredSeries>>;
  /** The series that are no longer exposed, in the order in which they ended. */
  readonly ended: Set<StoredSeries>;
  series: number;
  /**
   * The memory of the labels, and of the places in the index that these series were the first to need. Other series may
   * use these places too.
   */
  labelBytes: number;
  sampleBytes: number;
}

export interface StoreLimits {
  readonly maxSeries: number;
  readonly maxLabelBytes: number;
}

/**
 * Counts what the series of each namespace use, and chooses which series a full store drops. Anybody who may start a
 * pod decides how many series it exposes, so the namespace that uses the most must give way to those that use less.
 */
export class StoreUsage {
  readonly #namespaces = new Map<string, NamespaceUsage>();
  readonly #limits: StoreLimits;

  constructor(limits: StoreLimits) {
    this.#limits = limits;
  }

  /** The usage of the namespace that owns the series. */
  of({ owner }: StoredSeries): NamespaceUsage {
    const { namespace } = owner;
    let usage = this.#namespaces.get(namespace);
    if (usage === undefined)
      this.#namespaces.set(
        namespace,
        (usage = { targets: new Map(), ended: new Set(), series: 0, labelBytes: 0, sampleBytes: 0 }),
      );
    return usage;
  }

  add(series: StoredSeries): void {
    const usage = this.of(series);
    const { target } = series.owner;
    const known = usage.targets.get(target);
    if (known === undefined) usage.targets.set(target, new Set([series]));
    else known.add(series);
    usage.series += 1;
    usage.labelBytes += series.labelBytes + series.placeBytes;
    usage.sampleBytes += series.samples.bytes;
  }

  remove(series: StoredSeries): void {
    const usage = this.of(series);
    const { target, namespace } = series.owner;
    const known = usage.targets.get(target);
    known?.delete(series);
    if (known?.size === 0) usage.targets.delete(target);
    if (usage.targets.size === 0) this.#namespaces.delete(namespace);
    usage.ended.delete(series);
    usage.series -= 1;
    usage.labelBytes -= series.labelBytes + series.placeBytes;
    usage.sampleBytes -= series.samples.bytes;
  }

  /**
   * The series that a full store drops for a new series of this owner. An ended series comes first, of the namespace
   * that uses the most among the owner's own and those that use more. If there is none, it is a live series of the
   * namespace that uses the most. If that is the owner's own, it is a series of the target that exposes the most there.
   * Undefined if no other namespace or target uses more than the owner.
   */
  surplus({ namespace, target }: SeriesOwner): StoredSeries | undefined {
    const own = this.#namespaces.get(namespace);
    const ownShare = own === undefined ? 0 : this.#shareOf(own);
    let [largest, largestShare]: [NamespaceUsage | undefined, number] = [undefined, 0];
    let [largestEnded, largestEndedShare]: [NamespaceUsage | undefined, number] = [undefined, 0];
    for (const usage of this.#namespaces.values()) {
      const share = this.#shareOf(usage);
      if (usage !== own && share <= ownShare) continue;
      if (share > largestShare) [largest, largestShare] = [usage, share];
      if (usage.ended.size > 0 && share > largestEndedShare) [largestEnded, largestEndedShare] = [usage, share];
    }
    if (largestEnded !== undefined) return first(largestEnded.ended);
    if (largest !== own) return largest === undefined ? undefined : first(largestTarget(largest));
    const rival = own === undefined ? undefined : largestTarget(own);
    return rival !== undefined && rival.size > (own?.targets.get(target)?.size ?? 0) + 1 ? first(rival) : undefined;
  }

  /** How much of a limit a namespace uses, for the limit to which it is closest. */
  #shareOf({ series, labelBytes }: NamespaceUsage): number {
    return Math.max(series / this.#limits.maxSeries, labelBytes / this.#limits.maxLabelBytes);
  }

  /** The namespace whose samples take the most memory. */
  largest(): NamespaceUsage | undefined {
    let largest: NamespaceUsage | undefined;
    for (const usage of this.#namespaces.values())
      if (largest === undefined || usage.sampleBytes > largest.sampleBytes) largest = usage;
    return largest;
  }
}

export function* seriesOf({ targets }: NamespaceUsage): Generator<StoredSeries> {
  for (const series of targets.values()) yield* series;
}

export function largestTarget({ targets }: NamespaceUsage): ReadonlySet<StoredSeries> {
  let largest: ReadonlySet<StoredSeries> = new Set();
  for (const series of targets.values()) if (series.size > largest.size) largest = series;
  return largest;
}

function first<Value>(values: Iterable<Value>): Value | undefined {
  for (const value of values) return value;
  return undefined;
}
