/**
 * The tones of lines. A tone has the same colour everywhere. `canary` and `stable` have tones of their own, and other
 * lines are numbered.
 */
export type ChartTone = "canary" | "stable" | "series-1" | "series-2" | "series-3" | "series-4" | "series-5";

export interface ChartLine {
  readonly label: string;
  readonly tone: ChartTone;
  /** One value for each time. `null` makes a gap in the line. `undefined` is no point: the line continues. */
  readonly values: readonly (number | null | undefined)[];
}
