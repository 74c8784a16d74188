import type { Colour } from "./colour.ts";
import type { Health } from "../../api/dashboard/index.ts";

/** Formats a rate with at most three digits. Zero is `-`. */
export function rateText(rate: number): string {
  if (rate === 0) return "-";
  return `${figures(rate)}/s`;
}

export function shareText(share: number): string {
  const percent = share * 100;
  if (percent === 0) return "0 %";
  return percent < 0.01
    ? "<0.01 %"
    : `${percent >= 99.95 && percent < 100 ? ">99.9" : Number(percent.toPrecision(percent >= 10 ? 3 : 2))} %`;
}

export function latencyText(ms: number | undefined): string {
  if (ms === undefined) return "-";
  return ms >= 1000
    ? `${Number((ms / 1000).toPrecision(3))} s`
    : `${ms < 10 ? Number(ms.toPrecision(2)) : Math.round(ms)} ms`;
}

/** Formats a rate of bytes with powers of 1,000, as the dashboard does. Zero is `-`. */
export function bytesText(rate: number): string {
  if (rate === 0) return "-";
  const [divisor, unit] =
    rate >= 1e9 ? [1e9, "GB/s"] : rate >= 1e6 ? [1e6, "MB/s"] : rate >= 1e3 ? [1e3, "kB/s"] : [1, "B/s"];
  return `${figures(rate / divisor)} ${unit}`;
}

/** A share of at least this value is shown as 100 %, because the difference is a rounding error. */
const fullShare = 0.9995;

export function lockText(mutualTlsShare: number | undefined): string {
  if (mutualTlsShare === undefined) return "-";
  if (mutualTlsShare >= fullShare) return "mTLS";
  return mutualTlsShare === 0 ? "plain" : `mTLS ${shareText(mutualTlsShare)}`;
}

function figures(value: number): string {
  if (value >= 100_000) return `${Number((value / 1000).toPrecision(3))}k`;
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/**
 * The colours of health states. They only repeat what words and marks say, for readers who cannot tell colours apart.
 */
export const healthColours: Readonly<Record<Health, Colour | undefined>> = {
  failing: "red",
  degraded: "yellow",
  healthy: "green",
  idle: undefined,
  unknown: undefined,
};
export const healthMarks: Readonly<Record<Health, string>> = {
  failing: "✘",
  degraded: "!",
  healthy: "✔",
  idle: "·",
  unknown: "?",
};
