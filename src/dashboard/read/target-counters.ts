import { connectionLabels, responseLabels, trafficLabels, type TrafficLabels } from "../views/index.ts";
import { ExpositionReader, parseSeries, type SeriesName } from "./exposition.ts";
import type { Gain } from "./traffic-history.ts";

/** The maximum number of series of one target. More are left out. */
export const maxSeriesOfTarget = 40_000;
/** The maximum total length of the labels of a target's series, in characters. A large mesh needs some millions. */
const maxLabelsOfTarget = 8 << 20;
/** The maximum number of different bucket bounds in a target's histograms. */
const maxBounds = 64;

const requests = "istio_requests_total";
const durations = "istio_request_duration_milliseconds_bucket";
const received = "istio_tcp_received_bytes_total";
const sent = "istio_tcp_sent_bytes_total";
const opened = "istio_tcp_connections_opened_total";
const ofProcess = ["process_cpu_seconds_total", "process_resident_memory_bytes"] as const;
const names = [requests, durations, received, sent, opened, ...ofProcess];

/** The series that have the same labels, and belong to different metrics. */
interface Group {
  readonly labels: TrafficLabels;
  readonly key: string;
  requests: number;
  bytes: number;
  opened: number;
  /** The number of the last scrape in which one of its series increased. */
  gainedIn: number;
}

export interface ProcessUse {
  readonly cpuSeconds: number | undefined;
  readonly memoryBytes: number | undefined;
}

const counterKinds = ["requests", "bytes", "opened", "bucket"] as const;
const bucketKind = counterKinds.indexOf("bucket");
const startCounters = 64;
/** Means "no group". The numbers of groups are smaller. */
const noGroup = 0xffff;
const growth = 1.3;

/** The counters of one target. Converts the values of a scrape into increases since the previous scrape. */
export class TargetCounters {
  readonly #app: string;
  readonly #mayReport: (labels: SeriesName["labels"]) => boolean;
  /**
   * The series, as columns that have the same index. As objects or in a Map, they would take several times the memory.
   */
  #ids = new Float64Array(startCounters);
  #values = new Float64Array(startCounters);
  #kinds = new Uint8Array(startCounters);
  /** The index in `#bounds`, for buckets. */
  #boundOf = new Uint8Array(startCounters);
  #groupOf = new Uint16Array(startCounters);
  /** Whether the series has appeared since the last sweep. If not, the proxy has removed it. */
  #seen = new Uint8Array(startCounters);
  #count = 0;
  #groups: Group[] = [];
  /** The total length of the keys of all groups. */
  #labelsLength = 0;
  #bounds: number[] = [];
  /** The indices of `#bounds`, ordered by the bounds. */
  #ascending: number[] = [];
  #scrape = 0;
  #process: ProcessUse = { cpuSeconds: undefined, memoryBytes: undefined };
  /** The ids of the process' own metrics, which are no series of traffic. */
  #cpuId = -1;
  #memoryId = -1;
  /** The index of groups by their keys. It exists only while series are added. */
  #groupIndex: Map<string, number> | undefined;

  /**
   * `app` is the label of the pod, which a Prometheus would add. `mayReport` decides whether to accept a new series.
   */
  constructor(app = "", mayReport: (labels: SeriesName["labels"]) => boolean = () => true) {
    this.#app = app;
    this.#mayReport = mayReport;
  }

  get process(): ProcessUse {
    return this.#process;
  }

  /**
   * Returns the increases since the last scrape. A counter that is new or has fallen has started at zero. The values of
   * the first scrape count as increases only with `isNew`, that is, if the process started after counting had begun.
   * The caller may reuse the bytes afterwards.
   */
  take(bytes: Buffer, isNew: boolean): Gain[] {
    this.#scrape += 1;
    const counts = this.#scrape > 1 || isNew;
    clearBucketGains(0, this.#groups.length);
    let [cpuSeconds, memoryBytes]: (number | undefined)[] = [];
    // A proxy usually keeps the order of its series. So look for a series at the next position first, and then in a
    // table.
    let expected = 0;
    let places: Map<number, number> | undefined;
    reader.begin(bytes);
    while (reader.next()) {
      if (reader.id === this.#cpuId) {
        cpuSeconds = reader.value;
        continue;
      }
      if (reader.id === this.#memoryId) {
        memoryBytes = reader.value;
        continue;
      }
      let place = expected < this.#count && this.#ids[expected] === reader.id ? expected : undefined;
      if (place === undefined && this.#count > 0) {
        places ??= this.#table();
        place = places.get(reader.id);
      }
      if (place === undefined) {
        const series = reader.series();
        if (series.startsWith("process_")) {
          if (series.startsWith(ofProcess[0])) [cpuSeconds, this.#cpuId] = [reader.value, reader.id];
          else [memoryBytes, this.#memoryId] = [reader.value, reader.id];
          continue;
        }
        if (this.#count >= maxSeriesOfTarget) continue;
        place = this.#add(reader.id, series);
        if (place === undefined) continue;
        places?.set(reader.id, place);
      }
      expected = place + 1;
      this.#note(place, counts);
    }
    this.#groupIndex = undefined;
    this.#process = { cpuSeconds, memoryBytes };
    const gains: Gain[] = [];
    for (const [index, group] of this.#groups.entries())
      if (group.gainedIn === this.#scrape) gains.push(this.#gainOf(index, group));
    if (this.#scrape % sweepScrapes === 0) this.#sweep();
    if (bucketGains.length > maxKeptCells) bucketGains = new Float64Array(0);
    return gains;
  }

  /** Stores the reader's current sample for the series at this position. */
  #note(place: number, counts: boolean): void {
    const { value } = reader;
    const before = this.#values[place] ?? 0;
    const gain = value >= before ? value - before : value;
    this.#values[place] = value;
    this.#seen[place] = 1;
    const index = this.#groupOf[place] ?? 0;
    const group = this.#groups[index];
    if (!counts || group === undefined) return;
    const kind = this.#kinds[place] ?? 0;
    // Buckets are cumulative, so an empty bucket is stored too: it separates its neighbours.
    if (kind === bucketKind) bucketGains[index * maxBounds + (this.#boundOf[place] ?? 0)] = gain;
    else if (gain > 0) group[counterKinds[kind] as "requests"] += gain;
    if (gain > 0) group.gainedIn = this.#scrape;
  }

  #table(): Map<number, number> {
    const places = new Map<number, number>();
    for (let place = 0; place < this.#count; place += 1) places.set(this.#ids[place] ?? 0, place);
    return places;
  }

  /** Adds a series, and returns its position. Undefined if its labels do not fit any more. */
  #add(id: number, series: string): number | undefined {
    const { name, labels } = parseSeries(series);
    const { le, ...others } = labels;
    const index = this.#mayReport(labels) ? this.#groupFor(others) : noGroup;
    if (index === undefined) return undefined;
    const place = this.#count;
    this.#count += 1;
    if (place >= this.#values.length) this.#resize(Math.ceil(this.#values.length * growth));
    this.#ids[place] = id;
    this.#values[place] = 0;
    this.#kinds[place] =
      name === durations
        ? bucketKind
        : counterKinds.indexOf(name === requests ? "requests" : name === opened ? "opened" : "bytes");
    this.#groupOf[place] = index;
    if (name === durations) this.#boundOf[place] = this.#bound(Number.isFinite(Number(le)) ? Number(le) : Infinity);
    return place;
  }

  /** The index of the group with these labels. Undefined if they do not fit any more. */
  #groupFor(others: SeriesName["labels"]): number | undefined {
    const key = `${this.#app === "ztunnel" ? "connections\n" : ""}${groupKey(others)}`;
    this.#groupIndex ??= new Map(this.#groups.map((group, at) => [group.key, at] as const));
    let index = this.#groupIndex.get(key);
    if (index === undefined) {
      if (this.#labelsLength + key.length > maxLabelsOfTarget) return undefined;
      this.#labelsLength += key.length;
      index =
        this.#groups.push({
          labels: trafficLabels({ ...others, app: this.#app }),
          key,
          requests: 0,
          bytes: 0,
          opened: 0,
          gainedIn: 0,
        }) - 1;
      this.#groupIndex.set(key, index);
      clearBucketGains(index, index + 1);
    }
    return index;
  }

  #bound(upToMs: number): number {
    const known = this.#bounds.indexOf(upToMs);
    if (known >= 0) return known;
    // With too many bounds, count in the highest bucket.
    if (this.#bounds.length >= maxBounds) return this.#ascending.at(-1) ?? 0;
    this.#bounds.push(upToMs);
    this.#ascending = this.#bounds
      .map((_, index) => index)
      .sort((a, b) => (this.#bounds[a] ?? 0) - (this.#bounds[b] ?? 0));
    return this.#bounds.length - 1;
  }

  #resize(length: number): void {
    const resized = <Column extends Float64Array | Uint16Array | Uint8Array>(column: Column, other: Column): Column => {
      other.set(column.length <= length ? column : column.subarray(0, length));
      return other;
    };
    this.#ids = resized(this.#ids, new Float64Array(length));
    this.#values = resized(this.#values, new Float64Array(length));
    this.#kinds = resized(this.#kinds, new Uint8Array(length));
    this.#boundOf = resized(this.#boundOf, new Uint8Array(length));
    this.#groupOf = resized(this.#groupOf, new Uint16Array(length));
    this.#seen = resized(this.#seen, new Uint8Array(length));
  }

  #gainOf(index: number, group: Group): Gain {
    const { labels, key, requests: gained, bytes, opened: begun } = group;
    const parts: [number, number][] = [];
    let before = 0;
    for (const bound of this.#ascending) {
      const gain = bucketGains[index * maxBounds + bound] ?? -1;
      if (gain < 0) continue;
      if (gain > before) parts.push([this.#bounds[bound] ?? Infinity, gain - before]);
      before = gain;
    }
    group.requests = 0;
    group.bytes = 0;
    group.opened = 0;
    return { labels, key, requests: gained, durations: parts.length === 0 ? undefined : parts, bytes, opened: begun };
  }

  /** Forgets the series that the proxy has removed, and the groups that no other series uses. */
  #sweep(): void {
    const kept: number[] = [];
    for (let place = 0; place < this.#count; place += 1) if (this.#seen[place] === 1) kept.push(place);
    this.#seen.fill(0);
    if (kept.length === this.#count) return;
    for (const column of [this.#ids, this.#values, this.#kinds, this.#boundOf, this.#groupOf])
      for (const [to, from] of kept.entries()) column[to] = column[from] ?? 0;
    this.#count = kept.length;
    const used = [...new Set(this.#groupOf.subarray(0, this.#count))]
      .filter((index) => index !== noGroup)
      .sort((a, b) => a - b);
    const moved = new Map(used.map((index, to) => [index, to] as const));
    this.#groups = this.#groups.filter((_, index) => moved.has(index));
    this.#labelsLength = this.#groups.reduce((sum, { key }) => sum + key.length, 0);
    for (let place = 0; place < this.#count; place += 1)
      this.#groupOf[place] = moved.get(this.#groupOf[place] ?? 0) ?? noGroup;
  }
}

const sweepScrapes = 60;
/** A buffer larger than this is freed after its scrape. */
const maxKeptCells = 1 << 17;

/**
 * For each group, the increase of each of its buckets in the current scrape, cumulative as the proxy sends them. -1 if
 * the bucket is absent. All targets share this buffer, because scrapes are read one after the other.
 */
let bucketGains = new Float64Array(0);

function clearBucketGains(fromGroup: number, toGroup: number): void {
  if (toGroup * maxBounds > bucketGains.length) {
    const wider = new Float64Array(Math.ceil(toGroup * growth) * maxBounds);
    wider.set(bucketGains);
    bucketGains = wider;
  }
  bucketGains.fill(-1, fromGroup * maxBounds, toGroup * maxBounds);
}

const nameBytes = names.map((name) => Buffer.from(name));
const braceCode = "{".charCodeAt(0);
const spaceCode = " ".charCodeAt(0);

function isWanted(bytes: Buffer, at: number): boolean {
  for (const name of nameBytes) {
    const after = bytes[at + name.length];
    if ((after === braceCode || after === spaceCode) && bytes.compare(name, 0, name.length, at, at + name.length) === 0)
      return true;
  }
  return false;
}

const kept = [...connectionLabels, ...responseLabels];

function groupKey(labels: Readonly<Record<string, string>>): string {
  return kept.map((name) => labels[name] ?? "").join("\n");
}

const reader = new ExpositionReader(isWanted);
