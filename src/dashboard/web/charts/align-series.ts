import type { SeriesAnswer } from "../../../api/dashboard/index.ts";

/**
 * Several series with the same times. `null` is a gap, because there was nothing to measure. `undefined` means that the
 * series has no point at this time, and its line continues.
 */
export interface AlignedSeries {
  readonly timesMs: readonly number[];
  readonly values: readonly (readonly (number | null | undefined)[])[];
}

export function alignSeries(answers: readonly SeriesAnswer[]): AlignedSeries {
  const times = [...new Set(answers.flatMap(({ timesMs }) => timesMs))].sort((a, b) => a - b);
  const index = new Map(times.map((time, at) => [time, at]));
  const values = answers.map((answer) => {
    const row: (number | null | undefined)[] = Array.from({ length: times.length });
    for (const [at, time] of answer.timesMs.entries()) {
      const value = answer.values[at] ?? null;
      row[index.get(time) ?? 0] = value === null || !Number.isFinite(value) ? null : value;
    }
    return row;
  });
  return { timesMs: times, values };
}

/**
 * The time range of a request. It moves by whole steps between points, so that points keep their times and the line
 * does not jitter.
 */
export function steadyRange(
  nowMs: number,
  windowMs: number,
  points: number,
): { readonly fromMs: number; readonly toMs: number } {
  const stepMs = Math.max(1000, Math.ceil(windowMs / Math.max(1, points - 1) / 1000) * 1000);
  const toMs = Math.floor(nowMs / stepMs) * stepMs;
  return { fromMs: toMs - Math.ceil(windowMs / stepMs) * stepMs, toMs };
}

export function summaryOf(
  values: readonly (number | null | undefined)[],
):
  | { readonly last: number | undefined; readonly least: number; readonly greatest: number; readonly measured: number }
  | undefined {
  let least = Infinity;
  let greatest = -Infinity;
  let measured = 0;
  let last: number | undefined;
  for (const value of values) {
    if (value === undefined) continue;
    last = value ?? undefined;
    if (value === null) continue;
    measured += 1;
    least = Math.min(least, value);
    greatest = Math.max(greatest, value);
  }
  return measured === 0 ? undefined : { last, least, greatest, measured };
}
