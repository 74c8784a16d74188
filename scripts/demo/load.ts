import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { join } from "node:path";
import { root, spawnInShell } from "./lab.ts";
import type { LoadFailure, LoadReport } from "./load-client.ts";

export interface LoadCounts {
  readonly requests: number;
  readonly failed: number;
  readonly answers: Readonly<Record<string, number>>;
}

export interface LoadOptions {
  readonly url: string;
  readonly keptAlive: number;
  readonly newConnections: number;
  readonly pauseMs: number;
  /** A header for every request, as `name: value`. */
  readonly header?: string;
}

const keptFailures = 1000;
const keptLatencies = 200;

export class Load {
  readonly failures: LoadFailure[] = [];
  readonly #child: ChildProcess;
  readonly #latencies: number[] = [];
  readonly #ended: Promise<void>;
  #pauseMs: number;
  #requests = 0;
  #failed = 0;
  #answers: Record<string, number> = {};
  #stderr = "";

  constructor(options: LoadOptions) {
    const { url, keptAlive, newConnections, pauseMs, header = "" } = options;
    this.#pauseMs = pauseMs;
    const program = join(root, "scripts/demo/load-client.ts");
    this.#child = spawnInShell([
      process.execPath,
      program,
      url,
      String(keptAlive),
      String(newConnections),
      String(pauseMs),
      header,
    ]);
    // A write fails if the generator has just ended. Ignore this, because the code that waits for the generator's
    // answers reports its end.
    this.#child.stdin?.on("error", () => undefined);
    this.#child.stderr?.on("data", (chunk: Buffer) => {
      this.#stderr = (this.#stderr + chunk.toString("utf8")).slice(-2000);
    });
    const lines = this.#child.stdout === null ? undefined : createInterface({ input: this.#child.stdout });
    lines?.on("line", (line) => this.#add(JSON.parse(line) as LoadReport));
    this.#ended = new Promise((resolve) => this.#child.on("close", () => resolve()));
  }

  #add(report: LoadReport): void {
    this.#requests += report.requests;
    this.#failed += report.failures.length;
    for (const [name, count] of Object.entries(report.answers))
      this.#answers[name] = (this.#answers[name] ?? 0) + count;
    this.failures.push(...report.failures.slice(0, Math.max(0, keptFailures - this.failures.length)));
    this.#latencies.push(...report.latenciesMs);
    this.#latencies.splice(0, Math.max(0, this.#latencies.length - keptLatencies));
  }

  get counts(): LoadCounts {
    return { requests: this.#requests, failed: this.#failed, answers: { ...this.#answers } };
  }

  /** The median response time of the latest requests, in milliseconds. */
  get medianMs(): number {
    const sorted = this.#latencies.toSorted((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)] ?? 0;
  }

  get running(): boolean {
    return this.#child.exitCode === null;
  }

  /** The generator's standard error, which explains why it did not start. */
  get problem(): string {
    return this.#stderr;
  }

  /** Changes the shortest time from one request of a client to its next, in milliseconds. */
  setPause(ms: number): void {
    if (ms === this.#pauseMs || !this.running) return;
    this.#pauseMs = ms;
    this.#child.stdin?.write(`${ms}\n`);
  }

  /** Stops the load. Waits up to 5 seconds for the requests under way. */
  async stop(): Promise<LoadCounts> {
    this.#child.stdin?.end();
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 5000);
    await this.#ended;
    clearTimeout(timer);
    return this.counts;
  }
}

/** Returns the counts that were added between two snapshots. */
export function difference(later: LoadCounts, earlier: LoadCounts): LoadCounts {
  const answers: Record<string, number> = {};
  for (const [name, count] of Object.entries(later.answers)) {
    const added = count - (earlier.answers[name] ?? 0);
    if (added > 0) answers[name] = added;
  }
  return { requests: later.requests - earlier.requests, failed: later.failed - earlier.failed, answers };
}
