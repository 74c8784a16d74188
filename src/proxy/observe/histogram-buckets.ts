import { messageOf, userError, type Logger } from "../../base/index.ts";

const histogramBucketsAnnotation = "sidecar.istio.io/statsHistogramBuckets";
/** The prefix of Istio's metrics in Envoy, with which the annotation's prefixes are compared. */
const statPrefix = "istiocustom.";
const maxBuckets = 200;

/** The upper bounds of the buckets of all histograms whose Envoy name has this prefix. */
export interface HistogramBuckets {
  readonly prefix: string;
  /** Ascending and unique, each above 0. */
  readonly bounds: readonly number[];
}

/** Returns the upper bounds of a metric's buckets. Undefined if none are set. */
export type BucketsOf = (metric: string) => readonly number[] | undefined;

/**
 * Parses the annotation, a JSON object from metric prefixes (`istio`, `istiocustom`) to upper bounds. Returns the
 * entries in order of their prefixes, as upstream writes them into Envoy's bootstrap, because the first match counts.
 * Throws a user error for any other text.
 */
export function parseHistogramBuckets(text: string): readonly HistogramBuckets[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  const entries =
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.entries(value as Readonly<Record<string, unknown>>)
      : undefined;
  if (entries === undefined || !entries.every(([, list]) => isBounds(list))) {
    throw userError(
      "annotation-invalid",
      `${histogramBucketsAnnotation} must be a JSON object of prefixes to lists of 1 to ${maxBuckets} numbers above 0, such as {"istio":[1,5,10]}; got ${text.slice(0, 200)}`,
    );
  }
  return entries
    .map(([prefix, list]) => ({
      prefix,
      bounds: [...new Set(list as readonly number[])].toSorted((left, right) => left - right),
    }))
    .toSorted((left, right) => (left.prefix < right.prefix ? -1 : 1));
}

/**
 * Reads the pod's annotation from its node metadata. An unreadable annotation is logged and ignored, as in upstream.
 */
export function podHistogramBuckets(
  metadata: Readonly<Record<string, unknown>>,
  log: Pick<Logger, "warn">,
): readonly HistogramBuckets[] {
  const text = (metadata["ANNOTATIONS"] as Readonly<Record<string, string>> | undefined)?.[histogramBucketsAnnotation];
  if (text === undefined) return [];
  try {
    return parseHistogramBuckets(text);
  } catch (error) {
    log.warn("histograms use their default buckets, because the annotation is not valid", { error: messageOf(error) });
    return [];
  }
}

export function bucketsOf(buckets: readonly HistogramBuckets[]): BucketsOf {
  return (metric) => buckets.find(({ prefix }) => `${statPrefix}${metric}`.startsWith(prefix))?.bounds;
}

function isBounds(list: unknown): boolean {
  return (
    Array.isArray(list) &&
    list.length > 0 &&
    list.length <= maxBuckets &&
    list.every((bound) => typeof bound === "number" && bound > 0 && bound < Infinity)
  );
}
