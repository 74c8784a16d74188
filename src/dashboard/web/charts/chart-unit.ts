import type { SeriesMeasure } from "../../../api/dashboard/index.ts";
import { formatBytes, formatMs, formatRate, formatShare } from "../format.ts";

/** The unit of a chart's values, which decides their format and the axis. */
export type ChartUnit = "rate" | "share" | "ms" | "bytes" | "bytesPerSecond" | "cores" | "count";

export const unitOfMeasure: Readonly<Record<SeriesMeasure, ChartUnit>> = {
  requestRate: "rate",
  errorShare: "share",
  p50Ms: "ms",
  p90Ms: "ms",
  p99Ms: "ms",
  byteRate: "bytesPerSecond",
  cpuSeconds: "cores",
  memoryBytes: "bytes",
};

export const titleOfMeasure: Readonly<Record<SeriesMeasure, string>> = {
  requestRate: "Requests",
  errorShare: "Errors",
  p50Ms: "Latency, median",
  p90Ms: "Latency, p90",
  p99Ms: "Latency, p99",
  byteRate: "Bytes",
  cpuSeconds: "CPU",
  memoryBytes: "Memory",
};

/** Formats a value with its unit. `–` if there is none. */
export function formatValue(unit: ChartUnit, value: number | null | undefined): string {
  if (value === null || value === undefined) return "–";
  switch (unit) {
    case "rate":
      return formatRate(value);
    case "share":
      return formatShare(value);
    case "ms":
      return formatMs(value);
    case "bytes":
      return formatBytes(value);
    case "bytesPerSecond":
      return `${formatBytes(value)}/s`;
    case "cores":
      return `${value < 0.1 ? value.toFixed(3) : value.toFixed(2)} cores`;
    case "count":
      return value.toLocaleString("en-US", { maximumFractionDigits: 1 });
  }
}

/** Formats a number at the axis. It may be short, because all have the same unit. */
export function formatTick(unit: ChartUnit, value: number): string {
  const plain = String(Number(value.toPrecision(3)));
  switch (unit) {
    case "rate":
      return value >= 10_000 ? `${Number((value / 1000).toPrecision(3))}k` : plain;
    case "share":
      return `${Number((value * 100).toPrecision(3))} %`;
    case "ms":
      return value >= 1000 ? `${Number((value / 1000).toPrecision(3))} s` : `${plain} ms`;
    case "bytes":
    case "bytesPerSecond":
      return value === 0 ? "0" : formatBytes(value).replace(/\.0+ /, " ");
    case "cores":
    case "count":
      return plain;
  }
}

/** The top of the axis is at least this, so that noise looks small, and a chart of zeros has a scale. */
const leastTop: Readonly<Record<ChartUnit, number>> = {
  rate: 1,
  share: 0.01,
  ms: 1,
  bytes: 1000,
  bytesPerSecond: 1000,
  cores: 0.01,
  count: 1,
};

/**
 * The top of the axis. It is a little above the greatest value, and above the bound if that is near. The axis of a
 * share ends at 100 %.
 */
export function axisTop(unit: ChartUnit, greatest: number, bound: number | undefined): number {
  const withBound =
    bound !== undefined && (greatest === 0 || bound <= greatest * 12) ? Math.max(greatest, bound * 1.15) : greatest;
  const top = Math.max(withBound * 1.1, leastTop[unit]);
  return unit === "share" ? Math.min(1, top) : top;
}
