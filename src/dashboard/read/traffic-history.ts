import type { CountedTraffic, DurationCounts, TrafficLabels } from "../views/index.ts";
import { readSlot, SlotWriter, type SlotRecord } from "./slot-records.ts";

/**
 * The maximum number of label combinations within two hours. At the maximum, the namespace with the most loses its
 * oldest ones to namespaces with fewer. If there is none with more, further combinations are left out, counted and
 * reported.
 */
export const maxTrafficSeries = 50_000;
/** The maximum total length of the keys of series, in characters. */
export const maxLabelsLength = 24 << 20;
/** The minimum time between two searches for unused series when the history is full. A search reads all slots. */
export const reclaimMs = 60_000;
/**
 * The maximum number of different bucket bounds of all proxies together. Requests of further bounds count in the
 * infinite bucket.
 */
const maxBounds = 256;
/** The maximum size of all slots together. The oldest are dropped first. */
export const maxHistoryBytes = 32 << 20;
export const historyMs = 2 * 3_600_000;
/** A slot younger than this is one round of scrapes. Older rounds are merged into slots of fifteen seconds. */
export const fineMs = 300_000;
export const coarseSlotMs = 15_000;

interface Slot {
  /** The slot contains the increases after `fromMs` until `toMs`, which it includes. */
  readonly fromMs: number;
  toMs: number;
  bytes: Uint8Array;
}

export interface Gain {
  readonly labels: TrafficLabels;
  /** The labels as one text, which identifies the series. */
  readonly key: string;
  readonly requests: number;
  readonly durations: DurationGain | undefined;
  readonly bytes: number;
  readonly opened: number;
}

/** The number of requests by the upper bound of their bucket, which may be infinity. */
export type DurationGain = readonly (readonly [upToMs: number, count: number])[];

interface OpenSum {
  requests: number;
  readonly buckets: Map<number, number>;
  bytes: number;
  opened: number;
}

interface CountedSum {
  requests: number;
  bytes: number;
  opened: number;
  /** The requests by the position of their bucket in the sorted bounds. Undefined if no duration was counted. */
  counts: number[] | undefined;
}

/**
 * The counted traffic over time, for two hours and within a fixed size. It stores increases and not counters, so
 * restarted proxies, deleted pods and windows of any length need no special treatment. Older slots are longer.
 */
export class TrafficHistory {
  readonly #labels: (TrafficLabels | undefined)[] = [];
  readonly #ids = new Map<string, number>();
  #labelsLength = 0;
  /** The keys of each owner's series, the oldest first. */
  readonly #keysOf = new Map<string, Set<string>>();
  /** The ids of series that were forgotten, but are still in slots. */
  #forgottenIds: number[] = [];
  /** The ids that are in no slot. */
  #freeIds: number[] = [];
  #reclaimedMs = 0;
  /** The bounds by the index of their bucket, in the order in which they first appeared. */
  readonly #bounds: number[] = [];
  readonly #bucketOf = new Map<number, number>();
  #slots: Slot[] = [];
  #bytes = 0;
  #open = new Map<number, OpenSum>();
  #beganMs: number | undefined;
  #closedMs: number | undefined;
  #dropped = 0;
  #sorted: readonly number[] = [];

  /** How many increases were dropped because there were too many series. */
  get dropped(): number {
    return this.#dropped;
  }

  get seriesCount(): number {
    return this.#ids.size;
  }

  get storedBytes(): number {
    return this.#bytes;
  }

  /** The time from which on everything is counted. Undefined before the start. */
  get oldestMs(): number | undefined {
    return this.#slots[0]?.fromMs ?? this.#beganMs;
  }

  /** Everything up to this time is counted. */
  get latestMs(): number | undefined {
    return this.#closedMs;
  }

  begin(nowMs: number): void {
    this.#beganMs ??= nowMs;
    this.#closedMs ??= nowMs;
  }

  /** Adds an increase to the open slot. `owner` is the namespace of the pod that reports it. */
  add({ labels, key: text, requests, durations, bytes, opened }: Gain, owner = ""): void {
    if (requests === 0 && bytes === 0 && opened === 0 && durations === undefined) return;
    const key = `${owner}\n${text}`;
    const id = this.#ids.get(key) ?? this.#newId(key, labels, owner);
    if (id === undefined) {
      this.#dropped += 1;
      return;
    }
    let sum = this.#open.get(id);
    if (sum === undefined) this.#open.set(id, (sum = { requests: 0, buckets: new Map(), bytes: 0, opened: 0 }));
    sum.requests += requests;
    sum.bytes += bytes;
    sum.opened += opened;
    for (const [upToMs, count] of durations ?? []) {
      const bucket = this.#bucket(upToMs);
      sum.buckets.set(bucket, (sum.buckets.get(bucket) ?? 0) + count);
    }
  }

  /** The id of a new series. Undefined if it does not fit any more. */
  #newId(key: string, labels: TrafficLabels, owner: string): number | undefined {
    const isFull = (): boolean =>
      this.#ids.size >= maxTrafficSeries || this.#labelsLength + key.length > maxLabelsLength;
    while (isFull()) if (!this.#giveWay(owner)) return undefined;
    const id = this.#freeIds.pop() ?? this.#labels.length;
    this.#labels[id] = labels;
    this.#labelsLength += key.length;
    this.#ids.set(key, id);
    const keys = this.#keysOf.get(owner);
    if (keys === undefined) this.#keysOf.set(owner, new Set([key]));
    else keys.add(key);
    return id;
  }

  /**
   * Makes space for a series of `owner`: forgets the oldest series of the owner that has the most. Returns false if
   * that one would then have fewer than `owner`. Without this rule, one namespace could fill the history, because its
   * users decide what its pods report.
   */
  #giveWay(owner: string): boolean {
    let [largest, size] = [owner, this.#keysOf.get(owner)?.size ?? 0];
    const own = size;
    for (const [other, keys] of this.#keysOf) if (keys.size > size) [largest, size] = [other, keys.size];
    if (size <= own + 1) return false;
    for (const key of this.#keysOf.get(largest) ?? []) {
      const id = this.#ids.get(key);
      this.#forgetSeries(key, largest);
      if (id !== undefined) {
        this.#forgottenIds.push(id);
        this.#open.delete(id);
      }
      this.#dropped += 1;
      return true;
    }
    return false;
  }

  #forgetSeries(key: string, owner: string): void {
    const id = this.#ids.get(key);
    if (id !== undefined) this.#labels[id] = undefined;
    this.#ids.delete(key);
    this.#labelsLength -= key.length;
    const keys = this.#keysOf.get(owner);
    keys?.delete(key);
    if (keys?.size === 0) this.#keysOf.delete(owner);
  }

  /** Closes the open slot. It contains the increases up to now. */
  close(nowMs: number): void {
    const fromMs = this.#closedMs ?? nowMs;
    if (nowMs <= fromMs) return;
    const writer = new SlotWriter();
    for (const [series, sum] of this.#open) writer.add({ series, ...sum });
    this.#open = new Map();
    this.#push({ fromMs, toMs: nowMs, bytes: writer.finish() });
    this.#closedMs = nowMs;
    this.#thin(nowMs);
    this.#forget(nowMs);
    if (this.#dropped > 0 && nowMs - this.#reclaimedMs >= reclaimMs) this.#reclaim(nowMs);
  }

  /** The traffic after `fromMs` until `toMs`, as rates over this time, or over the part of it that was counted. */
  counted(fromMs: number, toMs: number): CountedTraffic[] {
    const within = this.#slots.filter((slot) => slot.toMs > fromMs && slot.toMs <= toMs);
    // Old slots are long, so a short window may lie within one. Then that slot stands for the window.
    const slots = within.length > 0 ? within : this.#slots.filter((slot) => slot.fromMs < toMs && slot.toMs >= toMs);
    const [first, last] = [slots[0], slots.at(-1)];
    if (first === undefined || last === undefined) return [];
    const seconds = Math.max(0.001, (last.toMs - first.fromMs) / 1000);
    const sums = new Map<number, CountedSum>();
    const boundsMs = this.#sortedBounds();
    const place = this.#bounds.map((bound) => (bound === Infinity ? boundsMs.length : boundsMs.indexOf(bound)));
    const sumOf = (id: number): CountedSum => {
      let sum = sums.get(id);
      if (sum === undefined) sums.set(id, (sum = { requests: 0, bytes: 0, opened: 0, counts: undefined }));
      return sum;
    };
    const sink = {
      bucket: (id: number, bucket: number, count: number): void => {
        const sum = sumOf(id);
        sum.counts ??= Array.from({ length: boundsMs.length + 1 }, () => 0);
        const at = place[bucket] ?? boundsMs.length;
        sum.counts[at] = (sum.counts[at] ?? 0) + count;
      },
      series: (id: number, requests: number, bytes: number, opened: number): void => {
        const sum = sumOf(id);
        sum.requests += requests;
        sum.bytes += bytes;
        sum.opened += opened;
      },
    };
    for (const { bytes } of slots) readSlot(bytes, sink);
    const counted: CountedTraffic[] = [];
    for (const [id, sum] of sums) {
      const labels = this.#labels[id];
      if (labels === undefined) continue;
      const durations: DurationCounts | undefined =
        sum.counts === undefined ? undefined : { boundsMs, counts: sum.counts };
      counted.push({
        labels,
        requestRate: sum.requests / seconds,
        durations,
        byteRate: sum.bytes / seconds,
        openedRate: sum.opened / seconds,
      });
    }
    return counted;
  }

  #bucket(upToMs: number): number {
    let bucket = this.#bucketOf.get(upToMs);
    if (bucket === undefined) {
      if (this.#bounds.length >= maxBounds && upToMs !== Infinity) return this.#bucket(Infinity);
      bucket = this.#bounds.push(upToMs) - 1;
      this.#bucketOf.set(upToMs, bucket);
    }
    return bucket;
  }

  /**
   * Returns the same array until a bound is added, so that histograms with equal arrays can be added bucket by bucket.
   */
  #sortedBounds(): readonly number[] {
    const finite = this.#bounds.filter((bound) => bound !== Infinity);
    if (finite.length !== this.#sorted.length) this.#sorted = finite.sort((a, b) => a - b);
    return this.#sorted;
  }

  #push(slot: Slot): void {
    this.#slots.push(slot);
    this.#bytes += slot.bytes.length;
  }

  #thin(nowMs: number): void {
    const ageMs = nowMs - fineMs;
    const first = this.#slots.findIndex(({ fromMs, toMs }) => toMs - fromMs < coarseSlotMs / 2 && toMs < ageMs);
    if (first < 0) return;
    const fromMs = this.#slots[first]?.fromMs ?? 0;
    const end = this.#slots.findIndex(({ toMs }, index) => index >= first && toMs - fromMs >= coarseSlotMs);
    if (end < 0 || (this.#slots[end]?.toMs ?? Infinity) > ageMs) return;
    const parts = this.#slots.slice(first, end + 1);
    const bytes = merged(parts.map((part) => part.bytes));
    this.#bytes += bytes.length - parts.reduce((sum, part) => sum + part.bytes.length, 0);
    this.#slots.splice(first, parts.length, { fromMs, toMs: parts.at(-1)?.toMs ?? fromMs, bytes });
  }

  #forget(nowMs: number): void {
    let gone = 0;
    while (gone < this.#slots.length - 1) {
      const slot = this.#slots[gone];
      if (slot === undefined || (slot.toMs > nowMs - historyMs && this.#bytes <= maxHistoryBytes)) break;
      this.#bytes -= slot.bytes.length;
      gone += 1;
    }
    if (gone > 0) this.#slots = this.#slots.slice(gone);
  }

  /** Frees the series that are in no slot any more. Pods and versions change as long as the server runs. */
  #reclaim(nowMs: number): void {
    this.#reclaimedMs = nowMs;
    const used = new Set<number>();
    const sink = { bucket: () => undefined, series: (id: number) => void used.add(id) };
    for (const { bytes } of this.#slots) readSlot(bytes, sink);
    for (const [key, id] of this.#ids) {
      if (used.has(id)) continue;
      this.#forgetSeries(key, key.slice(0, key.indexOf("\n")));
      this.#freeIds.push(id);
      // New series fit again.
      this.#dropped = 0;
    }
    const forgotten = this.#forgottenIds;
    this.#forgottenIds = forgotten.filter((id) => used.has(id));
    this.#freeIds.push(...forgotten.filter((id) => !used.has(id)));
  }
}

function merged(parts: readonly Uint8Array[]): Uint8Array {
  const sums = new Map<number, OpenSum>();
  const sumOf = (id: number): OpenSum => {
    let sum = sums.get(id);
    if (sum === undefined) sums.set(id, (sum = { requests: 0, buckets: new Map(), bytes: 0, opened: 0 }));
    return sum;
  };
  for (const part of parts) {
    readSlot(part, {
      bucket: (id, bucket, count) => void sumOf(id).buckets.set(bucket, (sumOf(id).buckets.get(bucket) ?? 0) + count),
      series: (id, requests, bytes, opened) => {
        const sum = sumOf(id);
        sum.requests += requests;
        sum.bytes += bytes;
        sum.opened += opened;
      },
    });
  }
  const writer = new SlotWriter();
  for (const [series, sum] of sums) writer.add({ series, ...sum } satisfies SlotRecord);
  return writer.finish();
}
