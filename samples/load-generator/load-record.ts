import { closeSync, fstatSync, ftruncateSync, openSync, writeSync } from "node:fs";
import {
  latencyBoundsMs,
  type ConnectionCounts,
  type LoadFailure,
  type LoadReport,
  type RequestCounts,
} from "./load-plan.ts";

const maxFailures = 50;

export class LoadRecord {
  readonly #path: string;
  #requests: Record<string, RequestCounts> = {};
  #connections: Record<string, ConnectionCounts> = {};
  #failures: LoadFailure[] = [];

  constructor(path: string) {
    this.#path = path;
  }

  answered(target: string, ms: number, who: string): void {
    const counts = this.#count(target, ms);
    counts.answers[who] = (counts.answers[who] ?? 0) + 1;
  }

  failed(target: string, ms: number, group: string, cause: string): void {
    this.#count(target, ms).failed += 1;
    this.note(target, group, cause);
  }

  /** Adds details of an event for people. Another method counts the event. */
  note(target: string, group: string, cause: string): void {
    if (this.#failures.length < maxFailures)
      this.#failures.push({ at: new Date().toISOString(), target, cause, group });
  }

  connection(target: string): ConnectionCounts {
    return (this.#connections[target] ??= { open: 0, ended: 0, endedWithPod: 0, closed: 0 });
  }

  #count(target: string, ms: number): RequestCounts {
    const counts = (this.#requests[target] ??= {
      requests: 0,
      failed: 0,
      latencies: Array.from({ length: latencyBoundsMs.length + 1 }, () => 0),
      answers: {},
    });
    counts.requests += 1;
    const found = latencyBoundsMs.findIndex((bound) => ms <= bound);
    const bucket = found === -1 ? latencyBoundsMs.length : found;
    counts.latencies[bucket] = (counts.latencies[bucket] ?? 0) + 1;
    return counts;
  }

  flush(): void {
    const report: LoadReport = {
      at: new Date().toISOString(),
      requests: this.#requests,
      connections: this.#connections,
      failures: this.#failures,
    };
    if (!this.#append(`${JSON.stringify(report)}\n`)) return;
    this.#requests = {};
    this.#failures = [];
    this.#connections = Object.fromEntries(
      Object.entries(this.#connections).map(([name, { open }]) => [
        name,
        { open, ended: 0, endedWithPod: 0, closed: 0 },
      ]),
    );
  }

  /**
   * Appends a whole line or nothing. Returns whether it was written. With a full disk, the counts stay for the next
   * report.
   */
  #append(line: string): boolean {
    let file: number | undefined;
    try {
      file = openSync(this.#path, "a");
      const { size } = fstatSync(file);
      const bytes = Buffer.from(line);
      if (writeSync(file, bytes) === bytes.length) return true;
      ftruncateSync(file, size);
      return false;
    } catch {
      return false;
    } finally {
      if (file !== undefined) closeSync(file);
    }
  }
}
