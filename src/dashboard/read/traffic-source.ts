import type { SeriesRequest, SourceState } from "../../api/dashboard/index.ts";
import type { CountedTraffic, MeasuredTraffic } from "../views/index.ts";

/** The points of a chart at equal distances. */
export interface TrafficSteps {
  readonly firstMs: number;
  readonly stepMs: number;
  readonly points: number;
  /** Each point covers this time before it. */
  readonly windowMs: number;
  /** The measure. Other counters may be left out. */
  readonly of: "requests" | "durations" | "bytes";
}

/** Pods for whose proxies the resource use is requested. */
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
  /** Measures the traffic in the window up to `atMs` (0 means now). */
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
  /** The total resource use of the subjects' proxies at each point. Null if unknown. */
  processes(steps: ProcessSteps): Promise<readonly (number | null)[]>;
  /** A number that rises when something was counted, or when the window moved over counted traffic. */
  readonly version: number;
  source(): SourceState;
  run(signal: AbortSignal): Promise<void>;
}
