import { Histogram } from "./instruments.ts";
import type { MetricsRegistry, MetricType } from "./metrics-registry.ts";

export const prometheusContentType = "text/plain; version=0.0.4; charset=utf-8";

/**
 * The names of the families that a scraper requests, or undefined for all. A histogram's name has no `_bucket`, `_sum`
 * or `_count`.
 */
export type FamilyNames = ReadonlySet<string> | undefined;

/** Renders the registry in Prometheus' text format 0.0.4. Omits metrics without series. */
export function renderPrometheus(registry: MetricsRegistry, names?: FamilyNames): string {
  return renderSnapshot(snapshotOf(registry, names));
}

/** Renders metrics like {@link renderPrometheus}. `families` must be in the order of their names. */
export function renderSnapshot(families: readonly FamilySnapshot[], names?: FamilyNames): string {
  const lines: string[] = [];
  let last = "";
  for (const family of families) {
    if (names?.has(family.name) === false) continue;
    if (family.name !== last)
      lines.push(`# HELP ${family.name} ${escapeHelp(family.help)}`, `# TYPE ${family.name} ${family.type}`);
    last = family.name;
    renderFamily(family, lines);
  }
  lines.push("");
  return lines.join("\n");
}

function renderFamily({ name, labelNames, bounds, series }: FamilySnapshot, lines: string[]): void {
  for (const { values, value, cumulative } of series) {
    const labels = renderLabels(labelNames, values);
    if (cumulative !== undefined) renderHistogram(name, labels, { bounds, cumulative, sum: value }, lines);
    else lines.push(`${name}${labels === "" ? "" : `{${labels}}`} ${formatNumber(value)}`);
  }
}

interface Observations {
  readonly bounds: Float64Array | undefined;
  readonly cumulative: Float64Array;
  readonly sum: number;
}

function renderHistogram(
  name: string,
  labels: string,
  { bounds, cumulative, sum }: Observations,
  lines: string[],
): void {
  const separator = labels === "" ? "" : ",";
  for (let index = 0; index < cumulative.length; index += 1) {
    const bound = bounds?.[index] ?? Infinity;
    lines.push(`${name}_bucket{${labels}${separator}le="${formatNumber(bound)}"} ${cumulative[index] ?? 0}`);
  }
  const braced = labels === "" ? "" : `{${labels}}`;
  lines.push(`${name}_sum${braced} ${formatNumber(sum)}`, `${name}_count${braced} ${cumulative.at(-1) ?? 0}`);
}

function renderLabels(names: readonly string[], values: readonly string[]): string {
  let out = "";
  for (let index = 0; index < names.length; index += 1) {
    out += `${index === 0 ? "" : ","}${names[index] ?? ""}="${escapeLabel(values[index] ?? "")}"`;
  }
  return out;
}

function formatNumber(value: number): string {
  if (value === Infinity) return "+Inf";
  if (value === -Infinity) return "-Inf";
  return String(value);
}

function escapeLabel(value: string): string {
  return /["\\\n]/.test(value) ? value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"') : value;
}

function escapeHelp(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

export interface SeriesSnapshot {
  readonly values: readonly string[];
  /** The value of a counter or a gauge, or the sum of a histogram. */
  readonly value: number;
  /** The number of observations at or below each bound. The last entry counts all. */
  readonly cumulative?: Float64Array;
}

/** The state of a metric as plain data, which one thread can send to another. */
export interface FamilySnapshot {
  readonly name: string;
  readonly help: string;
  readonly type: MetricType;
  readonly labelNames: readonly string[];
  /** The bounds of a histogram's buckets. Absent for other types. */
  readonly bounds?: Float64Array;
  readonly series: readonly SeriesSnapshot[];
}

/** Returns the registry's metrics that have series, in the order of their names. */
export function snapshotOf(registry: MetricsRegistry, names?: FamilyNames): FamilySnapshot[] {
  const families: FamilySnapshot[] = [];
  for (const family of registry.families()) {
    if (family.isEmpty || names?.has(family.name) === false) continue;
    const { name, help, type, labelNames } = family;
    let bounds: Float64Array | undefined;
    const series: SeriesSnapshot[] = [];
    for (const { values, handle } of family.series()) {
      if (handle instanceof Histogram) {
        bounds ??= handle.bounds;
        series.push({ values, value: handle.sum, cumulative: handle.cumulative() });
      } else series.push({ values, value: handle.value });
    }
    families.push({ name, help, type, labelNames, ...(bounds === undefined ? {} : { bounds }), series });
  }
  return families;
}

interface Merging {
  readonly family: FamilySnapshot;
  readonly series: Map<string, SeriesSnapshot>;
}

/**
 * Merges snapshots. Adds the numbers of equal label sets, except for the metrics in `shared`. These have the same value
 * in each snapshot, so the greatest value is used.
 */
export function mergeSnapshots(
  snapshots: readonly (readonly FamilySnapshot[])[],
  shared: ReadonlySet<string>,
): FamilySnapshot[] {
  const merging = new Map<string, Merging>();
  for (const family of snapshots.flat()) {
    const key = [family.name, ...family.labelNames].join(" ");
    let known = merging.get(key);
    if (known === undefined) {
      known = { family, series: new Map() };
      merging.set(key, known);
    }
    const isShared = shared.has(family.name);
    for (const series of family.series) {
      const id = series.values.join("\u0000");
      const before = known.series.get(id);
      known.series.set(id, before === undefined ? series : together(before, series, isShared));
    }
  }
  return [...merging.values()]
    .map(({ family, series }) => ({ ...family, series: [...series.values()] }))
    .toSorted((left, right) => (left.name === right.name ? 0 : left.name < right.name ? -1 : 1));
}

function together(left: SeriesSnapshot, right: SeriesSnapshot, isShared: boolean): SeriesSnapshot {
  if (isShared) return right.value > left.value ? right : left;
  const { values, value, cumulative } = left;
  const more = right.cumulative;
  return {
    values,
    value: value + right.value,
    ...(cumulative === undefined || more === undefined
      ? {}
      : { cumulative: cumulative.map((count, index) => count + (more[index] ?? 0)) }),
  };
}
