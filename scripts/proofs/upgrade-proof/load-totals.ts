// Adds up the reports of all generators by target.
import { closeSync, fstatSync, openSync, readdirSync, readSync } from "node:fs";
import { join } from "node:path";
import {
  latencyBoundsMs,
  type ConnectionCounts,
  type LoadFailure,
  type LoadReport,
} from "../../../samples/load-generator/load-plan.ts";

export interface Counted {
  readonly requests: number;
  readonly failed: number;
}

export interface LoadTotals extends Counted {
  /** The number of requests that took longer than the last of {@link latencyBoundsMs}. */
  readonly slow: number;
  readonly targets: Readonly<Record<string, Counted>>;
  readonly ended: number;
  readonly closedConnections: number;
  readonly endedWithPod: Readonly<Record<string, number>>;
}

interface ReportFile {
  offset: number;
  rest: string;
  open: Record<string, number>;
}

const keptFailures = 500;

export class LoadReports {
  readonly failures: LoadFailure[] = [];
  readonly #directories: readonly string[];
  readonly #files = new Map<string, ReportFile>();
  readonly #targets: Record<string, { requests: number; failed: number; latencies: number[] }> = {};
  readonly #connections: Record<string, ConnectionCounts> = {};

  constructor(directories: readonly string[]) {
    this.#directories = directories;
  }

  /** Reads the lines that were appended since the last call. */
  read(): void {
    for (const directory of this.#directories)
      for (const name of filesIn(directory)) this.#readFile(join(directory, name));
  }

  #readFile(path: string): void {
    const file = this.#files.get(path) ?? { offset: 0, rest: "", open: {} };
    this.#files.set(path, file);
    const added = readFrom(path, file.offset);
    file.offset += added.length;
    const lines = (file.rest + added.toString("utf8")).split("\n");
    file.rest = lines.pop() ?? "";
    for (const line of lines) this.#add(JSON.parse(line) as LoadReport, file);
  }

  #add(report: LoadReport, file: ReportFile): void {
    for (const [name, { requests, failed, latencies }] of Object.entries(report.requests)) {
      const total = (this.#targets[name] ??= { requests: 0, failed: 0, latencies: latencies.map(() => 0) });
      total.requests += requests;
      total.failed += failed;
      latencies.forEach((count, bucket) => {
        total.latencies[bucket] = (total.latencies[bucket] ?? 0) + count;
      });
    }
    for (const [name, { open, ended, endedWithPod, closed }] of Object.entries(report.connections)) {
      const total = (this.#connections[name] ??= { open: 0, ended: 0, endedWithPod: 0, closed: 0 });
      total.ended += ended;
      total.endedWithPod += endedWithPod;
      total.closed += closed;
      total.open += open - (file.open[name] ?? 0);
      file.open[name] = open;
    }
    this.failures.push(...report.failures.slice(0, Math.max(0, keptFailures - this.failures.length)));
  }

  get totals(): LoadTotals {
    this.read();
    const targets = Object.fromEntries(
      Object.entries(this.#targets).map(([name, { requests, failed }]) => [name, { requests, failed }]),
    );
    const sum = (field: "requests" | "failed"): number =>
      Object.values(targets).reduce((total, counts) => total + counts[field], 0);
    const connections = Object.entries(this.#connections);
    return {
      requests: sum("requests"),
      failed: sum("failed"),
      slow: Object.values(this.#targets).reduce((total, { latencies }) => total + (latencies.at(-1) ?? 0), 0),
      targets,
      ended: connections.reduce((total, [, { ended }]) => total + ended, 0),
      closedConnections: connections.reduce((total, [, { closed }]) => total + closed, 0),
      endedWithPod: Object.fromEntries(connections.map(([name, { endedWithPod }]) => [name, endedWithPod])),
    };
  }

  /** The number of long connections that are open now. */
  get open(): number {
    return Object.values(this.#connections).reduce((total, { open }) => total + open, 0);
  }

  /**
   * Returns, for each target, its requests and failures, and upper bounds of the median and the 99th percentile of its
   * response times.
   */
  table(): readonly {
    readonly target: string;
    readonly requests: number;
    readonly failed: number;
    readonly p50Ms: number;
    readonly p99Ms: number;
  }[] {
    return Object.entries(this.#targets).map(([target, { requests, failed, latencies }]) => ({
      target,
      requests,
      failed,
      p50Ms: quantile(latencies, 0.5),
      p99Ms: quantile(latencies, 0.99),
    }));
  }

  connectionTable(): readonly (ConnectionCounts & { readonly target: string })[] {
    return Object.entries(this.#connections).map(([target, counts]) => ({ target, ...counts }));
  }
}

/** Returns the counts that were added between two snapshots. */
export function difference(later: LoadTotals, earlier: LoadTotals): LoadTotals {
  const targets = Object.fromEntries(
    Object.entries(later.targets).map(([name, { requests, failed }]) => [
      name,
      {
        requests: requests - (earlier.targets[name]?.requests ?? 0),
        failed: failed - (earlier.targets[name]?.failed ?? 0),
      },
    ]),
  );
  return {
    requests: later.requests - earlier.requests,
    failed: later.failed - earlier.failed,
    slow: later.slow - earlier.slow,
    targets,
    ended: later.ended - earlier.ended,
    closedConnections: later.closedConnections - earlier.closedConnections,
    endedWithPod: Object.fromEntries(
      Object.entries(later.endedWithPod).map(([name, count]) => [name, count - (earlier.endedWithPod[name] ?? 0)]),
    ),
  };
}

function quantile(buckets: readonly number[], share: number): number {
  const wanted = buckets.reduce((total, count) => total + count, 0) * share;
  let seen = 0;
  const index = buckets.findIndex((count) => {
    seen += count;
    return seen >= wanted;
  });
  return latencyBoundsMs[index] ?? Number.POSITIVE_INFINITY;
}

function filesIn(directory: string): string[] {
  try {
    return readdirSync(directory).filter((name) => name.endsWith(".jsonl"));
  } catch {
    // No generator has run there yet.
    return [];
  }
}

function readFrom(path: string, offset: number): Buffer {
  const file = openSync(path, "r");
  try {
    const size = fstatSync(file).size - offset;
    const bytes = Buffer.alloc(Math.max(0, size));
    const read = size > 0 ? readSync(file, bytes, 0, size, offset) : 0;
    return bytes.subarray(0, read);
  } finally {
    closeSync(file);
  }
}
