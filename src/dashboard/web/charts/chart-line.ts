/**
 * The tones of lines, which have the same colours everywhere. `canary` and `stable` have their own, and others are
 * numbered.
 */
export type ChartTone = "canary" | "stable" | "series-1" | "series-2" | "series-3" | "series-4" | "series-5";

export interface ChartLine {
  readonly label: string;
  readonly tone: ChartTone;
  /**
   * One value for each time. `null` makes a gap in the line. `undefined` means that there is no point here, and the
   * line continues.
   */
  readonly values: readonly (number | null | undefined)[];
}
