import { labelsOf, metricName, type Labels } from "../labels.ts";
import { parseQuery } from "../parse.ts";
import { indexAtOrBefore, type SampleSource, type SeriesSlice } from "../sample-source.ts";

const stepPattern = /^(-?[\d.]+|NaN|\+?Inf)(?:([+-])([\d.]+))?(?:x(\d+))?$/;

/**
 * Parses series in a short notation, one in each line: a selector with exact labels, and then samples, which begin at
 * time 0 and are one step apart. `1+2x3` means 1 3 5 7, `5x2` means 5 5 5, `_` is a missing sample, and `stale` ends
 * the series.
 */
export function seriesOf(text: string, stepMs: number): SampleSource {
  const slices = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "")
    .map((line) => sliceOf(line, stepMs));
  return {
    select: (matchers, fromMs, toMs) =>
      slices
        .filter(({ labels }) => matchers.every(({ name, matches }) => matches(labels.get(name) ?? "")))
        .map((slice) => between(slice, fromMs, toMs)),
  };
}

function sliceOf(line: string, stepMs: number): SeriesSlice {
  const [, selector = "", samples = ""] = /^(\w*(?:\{[^}]*\})?)\s+(.*)$/.exec(line) ?? [];
  const timesMs: number[] = [];
  const values: number[] = [];
  const staleMs: number[] = [];
  let index = 0;
  for (const word of samples.split(/\s+/)) {
    if (word === "stale") staleMs.push(index * stepMs);
    const [, first, sign = "+", change = "0", times = "0"] = stepPattern.exec(word) ?? [];
    if (first === undefined) {
      index += 1;
      continue;
    }
    const by = Number(`${sign}${change}`);
    for (let count = 0; count <= Number(times); count += 1) {
      timesMs.push(index * stepMs);
      values.push((first.endsWith("Inf") ? Infinity : Number(first)) + by * count);
      index += 1;
    }
  }
  return { labels: labelsOfSelector(selector), timesMs, values, staleMs };
}

function labelsOfSelector(selector: string): Labels {
  const parsed = parseQuery(selector);
  if (parsed.type !== "selector") throw new Error(`${selector} is no selector`);
  return labelsOf(parsed.matchers.map(({ name, value }) => [name === metricName ? metricName : name, value]));
}

function between({ labels, timesMs, values, staleMs }: SeriesSlice, fromMs: number, toMs: number): SeriesSlice {
  const first = indexAtOrBefore(timesMs, fromMs) + 1;
  const end = indexAtOrBefore(timesMs, toMs) + 1;
  return {
    labels,
    timesMs: Array.from(timesMs).slice(first, end),
    values: Array.from(values).slice(first, end),
    staleMs,
  };
}
