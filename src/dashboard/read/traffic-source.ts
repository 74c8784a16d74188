import type { SeriesRequest, SourceState } from "../../api/dashboard/index.ts";
import type { CountedTraffic, MeasuredTraffic } from "../views/index.ts";

/** Points of a chart, as far apart as each other. */
export interface TrafficSteps {
  readonly firstMs: number;
  readonly stepMs: number;
  readonly points: number;
  /** What is counted in so long before each point. */
  readonly windowMs: number;
  /** What is looked at; nothing else need be told. */
  readonly of: "requests" | "durations" | "bytes";
}

/** Pods whose proxies are asked for what they use. */
export interface ProcessSubject {
  /** `namespace/name` of their workload. */
  readonly workload: string;
  readonly namespace: string;
  readonly pods: readonly string[];
}

export interface ProcessSteps extends Omit<TrafficSteps, "of"> {
  readonly of: Extract<SeriesRequest["measure"], "cpuSeconds" | "memoryBytes">;
  readonly subjects: readonly ProcessSubject[];
}

/** The source of traffic figures: the reader's own scrapes, or a Prometheus. */
export interface TrafficSource {
  /** Over the window up to `atMs` (0: now). */
  measure(windowSeconds: number, atMs: number): Promise<MeasuredTraffic>;
  /**
   * Applies `valueOf` to what was counted up to each of the points, one after the other, because all together would
   * take that many times the memory of the mesh. Undefined for points without counts. Ends with the signal's reason if
   * it is aborted.
   */
  steps<Value>(
    steps: TrafficSteps,
    valueOf: (counted: readonly CountedTraffic[]) => Value,
    signal?: AbortSignal,
  ): Promise<readonly (Value | undefined)[]>;
  /** What the subjects' proxies use, together, up to each of the points; null where nothing is known. */
  processes(steps: ProcessSteps): Promise<readonly (number | null)[]>;
  /** Raised when something was counted, or time went on over something that was. */
  readonly version: number;
  source(): SourceState;
  run(signal: AbortSignal): Promise<void>;
}
