import { formatClock } from "../format.ts";
import { summaryOf } from "./align-series.ts";
import type { ChartLine } from "./chart-line.ts";
import { formatValue, type ChartUnit } from "./chart-unit.ts";

/** `summary` is undefined if nothing was measured. */
export interface SummarizedLine extends ChartLine {
  readonly summary: ReturnType<typeof summaryOf>;
}

export interface ChartData {
  readonly unit: ChartUnit;
  readonly timesMs: readonly number[];
  readonly lines: readonly SummarizedLine[];
  /** Whether the values are still loading. If so, a chart without values does not mean that there are none. */
  readonly loading: boolean;
}

export function summarized(lines: readonly ChartLine[]): readonly SummarizedLine[] {
  return lines.map((line) => ({ ...line, summary: summaryOf(line.values) }));
}

export function isMeasured(lines: readonly SummarizedLine[]): boolean {
  return lines.some(({ summary }) => summary !== undefined);
}

/** The value of a line at an index, or its last value if the index is undefined. */
export function valueAt({ values, summary }: SummarizedLine, at: number | undefined): number | null | undefined {
  return at === undefined ? summary?.last : values[at];
}

/** The values at a time, for screen readers: `10:01:30: canary 3 ms, stable 4 ms`. */
export function wordsAt({ unit, timesMs, lines, loading }: ChartData, at: number | undefined): string {
  if (!isMeasured(lines)) return loading ? "loading" : "no data";
  const values = lines.map((line) => `${line.label} ${formatValue(unit, valueAt(line, at))}`);
  return `${at === undefined ? "last" : formatClock(timesMs[at] ?? 0)}: ${values.join(", ")}`;
}

/** For each line, a sentence with its range and its last value. */
export function chartSummary({ unit, lines, loading }: Omit<ChartData, "timesMs">): string {
  return lines
    .map(({ label, summary }) =>
      summary === undefined
        ? `${label}: ${loading ? "loading" : "no data"}.`
        : `${label}: minimum ${formatValue(unit, summary.least)}, maximum ${formatValue(unit, summary.greatest)}, last value ${formatValue(unit, summary.last)}.`,
    )
    .join(" ");
}

/** The index to which a key moves, among `count` times. Undefined for a key that moves nowhere. */
export function timeOfKey(key: string, at: number | undefined, count: number): number | undefined {
  const last = count - 1;
  const from = at ?? last;
  const to = {
    ArrowLeft: from - 1,
    ArrowRight: from + 1,
    Home: 0,
    End: last,
    PageUp: from - 10,
    PageDown: from + 10,
  }[key];
  return to === undefined || last < 0 ? undefined : Math.max(0, Math.min(last, to));
}
