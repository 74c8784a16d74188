import type { ProcessUse } from "./target-counters.ts";

/** A point each so long; two hours of them. */
const pointMs = 15_000;
const maxPoints = 480;
/** Pods that are remembered. */
export const maxProcesses = 6000;

interface Point {
  readonly atMs: number;
  readonly cpuSeconds: number;
  readonly memoryBytes: number;
}

interface ProcessPoints {
  readonly workload: string;
  readonly points: Point[];
}

/** What proxies said of their own use of processor and memory. */
export class ProcessHistory {
  readonly #pods = new Map<string, ProcessPoints>();

  add(workload: string, pod: string, atMs: number, { cpuSeconds, memoryBytes }: ProcessUse): void {
    if (cpuSeconds === undefined || memoryBytes === undefined) return;
    const key = `${workload} ${pod}`;
    let kept = this.#pods.get(key);
    if (kept === undefined) {
      this.#forgetBefore(atMs - maxPoints * pointMs);
      if (this.#pods.size >= maxProcesses) this.#pods.delete(this.#pods.keys().next().value ?? "");
      this.#pods.set(key, (kept = { workload, points: [] }));
    }
    const last = kept.points.at(-1);
    if (last !== undefined && atMs - last.atMs < pointMs) return;
    kept.points.push({ atMs, cpuSeconds, memoryBytes });
    if (kept.points.length > maxPoints) kept.points.shift();
  }

  /** How many pods are remembered. */
  get size(): number {
    return this.#pods.size;
  }

  /** A pod that has told nothing since is gone, and so is what could be shown of it. Looked for when one comes: pods go as others come. */
  #forgetBefore(timeMs: number): void {
    for (const [key, { points }] of this.#pods) if ((points.at(-1)?.atMs ?? 0) < timeMs) this.#pods.delete(key);
  }

  /** Of all pods of the workload together, between two times: processor seconds a second, or bytes; null where nothing was told. */
  value(workload: string, measure: "cpuSeconds" | "memoryBytes", fromMs: number, toMs: number): number | null {
    let sum: number | null = null;
    for (const { workload: of, points } of this.#pods.values()) {
      if (of !== workload) continue;
      const last = points.findLast(({ atMs }) => atMs <= toMs && atMs > toMs - 3 * pointMs);
      if (last === undefined) continue;
      if (measure === "memoryBytes") {
        sum = (sum ?? 0) + last.memoryBytes;
        continue;
      }
      const first = points.findLast(({ atMs }) => atMs <= Math.min(fromMs, last.atMs - pointMs + 1000));
      // A process that began anew counts from zero.
      if (first === undefined || last.cpuSeconds < first.cpuSeconds) continue;
      sum = (sum ?? 0) + ((last.cpuSeconds - first.cpuSeconds) / (last.atMs - first.atMs)) * 1000;
    }
    return sum;
  }
}
