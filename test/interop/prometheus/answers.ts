import { isDeepStrictEqual } from "node:util";

/** What is compared of an answer of Prometheus' HTTP API. */
interface ApiAnswer {
  readonly status: string;
  readonly error?: string;
  readonly data?: { readonly resultType: string; readonly result: unknown };
}

interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly value?: readonly [number, string];
  readonly values?: readonly (readonly [number, string])[];
}

const tolerance = 1e-9;

/**
 * Describes how two answers differ. Undefined if they agree. The order of series and digits after the ninth do not
 * count.
 */
export function difference(own: ApiAnswer, real: ApiAnswer): string | undefined {
  if (own.status !== real.status)
    return `status ${own.status} (${own.error ?? ""}), ${real.status} (${real.error ?? ""})`;
  if (own.data?.resultType !== real.data?.resultType)
    return `a ${own.data?.resultType ?? "nothing"}, a ${real.data?.resultType ?? "nothing"}`;
  if (real.data?.resultType === "scalar")
    return ofPoints([own.data?.result as [number, string]], [real.data.result as [number, string]]);
  const [ours, theirs] = [sorted(own.data?.result), sorted(real.data?.result)];
  if (ours.length !== theirs.length) return `${ours.length} series, ${theirs.length} series`;
  for (const [index, series] of ours.entries()) {
    const other = theirs[index];
    if (!isDeepStrictEqual(series.metric, other?.metric))
      return `${JSON.stringify(series.metric)}, ${JSON.stringify(other?.metric)}`;
    const found = ofPoints(series.values ?? [series.value ?? [0, ""]], other?.values ?? [other?.value ?? [0, ""]]);
    if (found !== undefined) return `${JSON.stringify(series.metric)}: ${found}`;
  }
  return undefined;
}

function sorted(result: unknown): Series[] {
  const keyOf = ({ metric }: Series): string =>
    JSON.stringify(Object.entries(metric).sort(([left], [right]) => (left < right ? -1 : 1)));
  const series = (result as Series[]).map((one) => ({
    ...one,
    metric: Object.fromEntries(Object.entries(one.metric).sort(([left], [right]) => (left < right ? -1 : 1))),
  }));
  return series.sort((left, right) => (keyOf(left) < keyOf(right) ? -1 : 1));
}

function ofPoints(
  own: readonly (readonly [number, string])[],
  real: readonly (readonly [number, string])[],
): string | undefined {
  if (own.length !== real.length) return `${own.length} points, ${real.length} points`;
  for (const [index, [time, text]] of own.entries()) {
    const [otherTime = NaN, otherText = ""] = real[index] ?? [];
    const [value, other] = [Number(text), Number(otherText)];
    const same =
      text === otherText || Math.abs(value - other) <= tolerance * Math.max(Math.abs(value), Math.abs(other));
    if (!same || Math.abs(time - otherTime) > 0.0011) return `${text} at ${time}, ${otherText} at ${otherTime}`;
  }
  return undefined;
}
