import type { Labels } from "./labels.ts";
import type { Point } from "./values.ts";

/** The samples of a series in (startMs, endMs]. There is at least one. */
export interface RangeWindow {
  readonly labels: Labels;
  readonly points: readonly Point[];
  readonly startMs: number;
  readonly endMs: number;
}
