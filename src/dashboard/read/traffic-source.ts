import type { SeriesRequest, SourceState } from "../../api/dashboard/index.ts";
import type { CountedTraffic, MeasuredTraffic } from "../views/index.ts";

/** The points of a chart at equal distances. */
export interface TrafficSteps {
  readonly firstMs: number;
  readonly stepMs: number;
  readonly points: number;
  /** The time before each point that the point covers. */
  readonly windowMs: number;
  /** The measure that the caller needs. The traffic may lack the other measures. */
  readonly of: "requests" | "durations" | "bytes";
}

/** The pods whose proxies' resource use is requested. */
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
   * Applies `valueOf` to the traffic up to each of the points, one point after the other, because the traffic of all
   * points together would take many times the memory. Undefined for points without counts. Ends with the signal's
   * reason if it is aborted.
   */
  steps<Value>(
    steps: TrafficSteps,
    valueOf: (counted: readonly CountedTraffic[]) => Value,
    signal?: AbortSignal,
  ): Promise<readonly (Value | undefined)[]>;
  /** The total resource use of the subjects' proxies at each point. Null if unknown. */
  processes(steps: ProcessSteps): Promise<readonly (number | null)[]>;
  /** A number that rises when traffic was counted, or when counted traffic has left the window. */
  readonly version: number;
  source(): SourceState;
  run(signal: AbortSignal): Promise<void>;
}
