import type { ProcessUse } from "./target-counters.ts";

/** The time between two points of a pod. Two hours of points are kept. */
const pointMs = 15_000;
export const maxPoints = 480;
export const maxProcesses = 6000;

/** A point has a time, CPU seconds and bytes. */
const fields = 3;
const startPoints = 8;

/**
 * The points of a pod, the oldest first. A typed array holds them: as objects, two hours of 500 pods would take 20 MB.
 */
class ProcessPoints {
  readonly workload: string;
  #numbers = new Float64Array(startPoints * fields);
  count = 0;

  constructor(workload: string) {
    this.workload = workload;
  }

  /** -Infinity without a point. */
  get lastMs(): number {
    return this.count === 0 ? -Infinity : this.atMs(this.count - 1);
  }

  add(atMs: number, cpuSeconds: number, memoryBytes: number): void {
    if (this.count === maxPoints) {
      this.#numbers.copyWithin(0, fields);
      this.count -= 1;
    } else if (this.count * fields === this.#numbers.length) {
      const more = new Float64Array(Math.min(maxPoints, this.count * 2) * fields);
      more.set(this.#numbers);
      this.#numbers = more;
    }
    this.#numbers.set([atMs, cpuSeconds, memoryBytes], this.count * fields);
    this.count += 1;
  }

  atMs(point: number): number {
    return this.#numbers[point * fields] ?? 0;
  }

  cpuSeconds(point: number): number {
    return this.#numbers[point * fields + 1] ?? 0;
  }

  memoryBytes(point: number): number {
    return this.#numbers[point * fields + 2] ?? 0;
  }

  /** The index of the newest point that is not after the time. -1 if there is none. */
  upTo(timeMs: number): number {
    let point = this.count - 1;
    while (point >= 0 && this.atMs(point) > timeMs) point -= 1;
    return point;
  }
}

export class ProcessHistory {
  readonly #pods = new Map<string, ProcessPoints>();

  add(workload: string, pod: string, atMs: number, { cpuSeconds, memoryBytes }: ProcessUse): void {
    if (cpuSeconds === undefined || memoryBytes === undefined) return;
    const key = `${workload} ${pod}`;
    let kept = this.#pods.get(key);
    if (kept === undefined) {
      this.#forgetBefore(atMs - maxPoints * pointMs);
      if (this.#pods.size >= maxProcesses) this.#pods.delete(this.#pods.keys().next().value ?? "");
      this.#pods.set(key, (kept = new ProcessPoints(workload)));
    }
    if (atMs - kept.lastMs >= pointMs) kept.add(atMs, cpuSeconds, memoryBytes);
  }

  get size(): number {
    return this.#pods.size;
  }

  /**
   * Forgets pods that have reported nothing since this time. They are gone, and no chart reaches back to them. Called
   * when a pod is added, because pods replace each other.
   */
  #forgetBefore(timeMs: number): void {
    for (const [key, { lastMs }] of this.#pods) if (lastMs < timeMs) this.#pods.delete(key);
  }

  /**
   * What all pods of the workload together used between two times, in CPU seconds per second or in bytes. Null if none
   * has reported.
   */
  value(workload: string, measure: "cpuSeconds" | "memoryBytes", fromMs: number, toMs: number): number | null {
    let sum: number | null = null;
    for (const points of this.#pods.values()) {
      if (points.workload !== workload) continue;
      const last = points.upTo(toMs);
      if (last < 0 || points.atMs(last) <= toMs - 3 * pointMs) continue;
      if (measure === "memoryBytes") {
        sum = (sum ?? 0) + points.memoryBytes(last);
        continue;
      }
      const first = points.upTo(Math.min(fromMs, points.atMs(last) - pointMs + 1000));
      // A process that has restarted counts from zero, so leave it out.
      if (first < 0 || points.cpuSeconds(last) < points.cpuSeconds(first)) continue;
      sum =
        (sum ?? 0) +
        ((points.cpuSeconds(last) - points.cpuSeconds(first)) / (points.atMs(last) - points.atMs(first))) * 1000;
    }
    return sum;
  }
}
