import type { SeriesRequest, SourceState } from "../../api/dashboard/index.ts";
import type { CountedTraffic, MeasuredTraffic } from "../views/index.ts";

export interface TrafficSteps {
  readonly firstMs: number;
  readonly stepMs: number;
  readonly points: number;
  /** The length of the window before each point. The point counts the traffic in this window. */
  readonly windowMs: number;
  /** The measure that the caller needs. Other measures may be missing in the result. */
  readonly of: "requests" | "durations" | "bytes";
}

export interface ProcessSubject {
  /** The workload's `namespace/name`. */
  readonly workload: string;
  readonly namespace: string;
  readonly pods: readonly string[];
}

export interface ProcessSteps extends Omit<TrafficSteps, "of"> {
  readonly of: Extract<SeriesRequest["measure"], "cpuSeconds" | "memoryBytes">;
  readonly subjects: readonly ProcessSubject[];
}

/** Where traffic comes from: scrapes of this process, or a Prometheus. */
export interface TrafficSource {
  /** Measures the traffic of a window that ends at `atMs`, where 0 means now. */
  measure(windowSeconds: number, atMs: number): Promise<MeasuredTraffic>;
  /**
   * Applies `valueOf` to the traffic at each point, one point after the other: the traffic of all points together would
   * take many times the memory. The result is undefined at points without counts. Throws the signal's reason if it is
   * aborted.
   */
  steps<Value>(
    steps: TrafficSteps,
    valueOf: (counted: readonly CountedTraffic[]) => Value,
    signal?: AbortSignal,
  ): Promise<readonly (Value | undefined)[]>;
  /** What the proxies of all subjects together use at each point. Null if unknown. */
  processes(steps: ProcessSteps): Promise<readonly (number | null)[]>;
  /** Rises when traffic was counted, and when counted traffic has left the window. */
  readonly version: number;
  source(): SourceState;
  run(signal: AbortSignal): Promise<void>;
}
