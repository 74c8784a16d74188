import { trafficLabels, type TrafficLabels } from "../views/index.ts";
import { parseSeries, readExposition } from "./exposition.ts";
import type { Gain } from "./traffic-history.ts";

/** Series that are kept of one target; further ones are left out. */
export const maxSeriesOfTarget = 40_000;

const requests = "istio_requests_total";
const durations = "istio_request_duration_milliseconds_bucket";
const received = "istio_tcp_received_bytes_total";
const sent = "istio_tcp_sent_bytes_total";
const opened = "istio_tcp_connections_opened_total";
const ofProcess = ["process_cpu_seconds_total", "process_resident_memory_bytes"] as const;
const names = [requests, durations, received, sent, opened, ...ofProcess];

/** Series of several metrics that have the same labels. */
interface Group {
  readonly labels: TrafficLabels;
  readonly key: string;
  requests: number;
  bytes: number;
  opened: number;
  /** Of this scrape, as they came: cumulative. */
  buckets: [upToMs: number, gain: number][];
}

/** What a process of a target told of itself. */
export interface ProcessUse {
  readonly cpuSeconds: number | undefined;
  readonly memoryBytes: number | undefined;
}

/** What a counter is of. */
const whats = ["requests", "bytes", "opened", "bucket"] as const;
const startCounters = 64;

/** The counters of one target between two scrapes: what it tells becomes what was gained since it told last. */
export class TargetCounters {
  readonly #app: string;
  /** By a series' number, its place in the columns below: as objects they would take three times as much. */
  #places = new Map<number, number>();
  #values = new Float64Array(startCounters);
  #upToMs = new Float64Array(startCounters);
  #whats = new Uint8Array(startCounters);
  /** The scrape that each was in last: others have been taken away by the proxy. */
  #scrapes = new Uint32Array(startCounters);
  #groupOf: Group[] = [];
  readonly #groups = new Map<string, Group>();
  #scrape = 0;
  #process: ProcessUse = { cpuSeconds: undefined, memoryBytes: undefined };

  /** `app` is that of the pod, as a Prometheus would label it. */
  constructor(app = "") {
    this.#app = app;
  }

  get process(): ProcessUse {
    return this.#process;
  }

  /**
   * What was gained since the last scrape. A counter that has fallen began anew, as one does that was not there before; of the very
   * first scrape all is taken for gained only where the process has begun after counting did (`isNew`). The bytes may be used again
   * for another answer after this.
   */
  take(bytes: Buffer, isNew: boolean): Gain[] {
    this.#scrape += 1;
    const counts = this.#scrape > 1 || isNew;
    const touched = new Set<Group>();
    let [cpuSeconds, memoryBytes]: (number | undefined)[] = [];
    readExposition(bytes, isWanted, (id, seriesText, value) => {
      let place = this.#places.get(id);
      if (place === undefined) {
        const series = seriesText();
        if (series.startsWith("process_")) {
          if (series.startsWith(ofProcess[0])) cpuSeconds = value;
          else memoryBytes = value;
          return;
        }
        if (this.#places.size >= maxSeriesOfTarget) return;
        place = this.#add(id, series);
      }
      const before = this.#values[place] ?? 0;
      const gain = value >= before ? value - before : value;
      this.#values[place] = value;
      this.#scrapes[place] = this.#scrape;
      const group = this.#groupOf[place];
      if (!counts || group === undefined) return;
      const what = whats[this.#whats[place] ?? 0] ?? "bytes";
      // Buckets are cumulative: an empty one still parts those beside it.
      if (what === "bucket") group.buckets.push([this.#upToMs[place] ?? Infinity, gain]);
      else if (gain > 0) group[what] += gain;
      if (gain > 0) touched.add(group);
    });
    this.#process = { cpuSeconds, memoryBytes };
    const gains = [...touched].map(gainOf);
    for (const group of this.#groups.values()) if (group.buckets.length > 0) group.buckets = [];
    if (this.#scrape % sweepScrapes === 0) this.#sweep();
    return gains;
  }

  #add(id: number, series: string): number {
    const { name, labels } = parseSeries(series);
    const { le, ...others } = labels;
    const key = `${this.#app === "ztunnel" ? "connections\n" : ""}${groupKey(others)}`;
    let group = this.#groups.get(key);
    if (group === undefined) this.#groups.set(key, (group = { labels: trafficLabels({ ...others, app: this.#app }), key, requests: 0, bytes: 0, opened: 0, buckets: [] }));
    const place = this.#groupOf.push(group) - 1;
    if (place >= this.#values.length) this.#grow();
    this.#places.set(id, place);
    this.#values[place] = 0;
    this.#upToMs[place] = le === undefined || le === "+Inf" ? Infinity : Number(le);
    this.#whats[place] = whats.indexOf(name === durations ? "bucket" : name === requests ? "requests" : name === opened ? "opened" : "bytes");
    return place;
  }

  #grow(): void {
    const length = this.#values.length * 2;
    const grown = <Column extends Float64Array | Uint32Array | Uint8Array>(column: Column, larger: Column): Column => {
      larger.set(column);
      return larger;
    };
    this.#values = grown(this.#values, new Float64Array(length));
    this.#upToMs = grown(this.#upToMs, new Float64Array(length));
    this.#whats = grown(this.#whats, new Uint8Array(length));
    this.#scrapes = grown(this.#scrapes, new Uint32Array(length));
  }

  /** Series that the proxy has taken away are forgotten. */
  #sweep(): void {
    const kept = [...this.#places].filter(([, place]) => (this.#scrapes[place] ?? 0) >= this.#scrape - sweepScrapes);
    if (kept.length === this.#places.size) return;
    const columns = [this.#values, this.#upToMs, this.#whats, this.#scrapes];
    const groups = kept.flatMap(([, place]) => this.#groupOf[place] ?? []);
    for (const column of columns) {
      const moved = kept.map(([, place]) => column[place] ?? 0);
      column.set(moved);
    }
    this.#places = new Map(kept.map(([id], place) => [id, place]));
    this.#groupOf = groups;
    const used = new Set(groups);
    for (const [key, group] of this.#groups) if (!used.has(group)) this.#groups.delete(key);
  }
}

const sweepScrapes = 60;

const nameBytes = names.map((name) => Buffer.from(name));
const braceCode = "{".charCodeAt(0);
const spaceCode = " ".charCodeAt(0);

function isWanted(bytes: Buffer, at: number): boolean {
  for (const name of nameBytes) {
    const after = bytes[at + name.length];
    if ((after === braceCode || after === spaceCode) && bytes.compare(name, 0, name.length, at, at + name.length) === 0) return true;
  }
  return false;
}

/** What tells traffic apart; other labels (`destination_canonical_service`, …) follow from these. */
const kept = [
  "reporter", "source_workload", "source_workload_namespace", "source_app", "source_version", "destination_workload", "destination_workload_namespace", "destination_app", "destination_version",
  "destination_service", "destination_service_name", "destination_service_namespace", "request_protocol", "response_code", "grpc_response_status", "response_flags", "connection_security_policy",
] as const;

function groupKey(labels: Readonly<Record<string, string>>): string {
  return kept.map((name) => labels[name] ?? "").join("\n");
}

function gainOf(group: Group): Gain {
  const { labels, key, requests: gained, bytes, opened: begun } = group;
  const buckets = group.buckets.toSorted(([a], [b]) => a - b);
  const parts = buckets.map(([upToMs, gain], index): [number, number] => [upToMs, Math.max(0, gain - (buckets[index - 1]?.[1] ?? 0))]).filter(([, count]) => count > 0);
  group.requests = 0;
  group.bytes = 0;
  group.opened = 0;
  return { labels, key, requests: gained, durations: parts.length === 0 ? undefined : parts, bytes, opened: begun };
}
