import { defineKind } from "../kind.ts";
import type { KubernetesObject, LabelSelector } from "../meta.ts";
import type { Parsed } from "../parsed.ts";
import type { Reader } from "../reader.ts";
import { celFault, envoyCelFault } from "./expressions/envoy-expression.ts";
import { exceedsExpressions, exceedsFormat } from "./expressions/expression-bound.ts";
import { envoyFormatFault, taggedHeaderFault } from "./expressions/http-headers.ts";
import { copiedLength } from "./proxy-limits.ts";
import { openObject, readDurationMs, readObjects, refuseDryRun, requireText, warnOfUnknown } from "./fields.ts";
import { readPolicyTarget, type PolicyTargetReference } from "./policy-target.ts";

export interface Telemetry extends KubernetesObject {
  spec: TelemetrySpec;
}

export interface TelemetrySpec {
  readonly selector?: LabelSelector | undefined;
  readonly targetRefs: readonly PolicyTargetReference[];
  readonly tracing: readonly TelemetryTracing[];
  readonly metrics: readonly TelemetryMetrics[];
  readonly accessLogging: readonly TelemetryAccessLogging[];
}

export type WorkloadMode = "CLIENT_AND_SERVER" | "CLIENT" | "SERVER";

export interface TelemetryTracing {
  readonly match?: { readonly mode: WorkloadMode } | undefined;
  /** Names of extension providers in the mesh config. Empty means that those of a wider object apply. */
  readonly providers: readonly { readonly name: string }[];
  /** The share of requests with spans, from 0 to 100. Absent means that the value of a wider object applies. */
  readonly randomSamplingPercentage?: number | undefined;
  readonly disableSpanReporting?: boolean | undefined;
  readonly customTags: Readonly<Record<string, TracingTag>>;
  readonly enableIstioTags?: boolean | undefined;
  readonly disableContextPropagation?: boolean | undefined;
  readonly useRequestIdForTraceSampling?: boolean | undefined;
}

export type TracingTag =
  | { readonly kind: "literal"; readonly value: string }
  | { readonly kind: "environment" | "header"; readonly name: string; readonly defaultValue: string }
  | { readonly kind: "formatter"; readonly value: string };

export interface TelemetryMetrics {
  readonly providers: readonly { readonly name: string }[];
  readonly overrides: readonly MetricsOverride[];
  readonly reportingIntervalMs?: number | undefined;
}

export interface MetricsOverride {
  readonly match: { readonly metric: MetricMatch; readonly mode: WorkloadMode };
  readonly disabled?: boolean | undefined;
  readonly tagOverrides: Readonly<Record<string, { readonly operation: "UPSERT" | "REMOVE"; readonly value: string }>>;
}

const istioMetrics = [
  "ALL_METRICS",
  "REQUEST_COUNT",
  "REQUEST_DURATION",
  "REQUEST_SIZE",
  "RESPONSE_SIZE",
  "TCP_OPENED_CONNECTIONS",
  "TCP_CLOSED_CONNECTIONS",
  "TCP_SENT_BYTES",
  "TCP_RECEIVED_BYTES",
  "GRPC_REQUEST_MESSAGES",
  "GRPC_RESPONSE_MESSAGES",
] as const;
export type IstioMetric = (typeof istioMetrics)[number];

export type MetricMatch =
  | { readonly kind: "metric"; readonly metric: IstioMetric }
  | { readonly kind: "customMetric"; readonly name: string };

export interface TelemetryAccessLogging {
  readonly match?: { readonly mode: WorkloadMode } | undefined;
  readonly providers: readonly { readonly name: string }[];
  readonly disabled?: boolean | undefined;
  /** A CEL expression. Only requests for which it is true are logged. */
  readonly filter?: { readonly expression: string } | undefined;
}

const workloadModes = ["CLIENT_AND_SERVER", "CLIENT", "SERVER"] as const;
const allPercent = 100;

export function parseTelemetry(raw: unknown): Parsed<Telemetry> {
  const opened = openObject(raw);
  const { object, spec: reader } = opened;
  refuseDryRun(opened);
  const spec: TelemetrySpec = {
    ...readPolicyTarget(reader),
    tracing: reader.objects("tracing").map(readTracing),
    metrics: reader.objects("metrics").map(readMetrics),
    accessLogging: reader.objects("accessLogging").map(readAccessLogging),
  };
  checkLength(reader);
  if (spec.tracing.length > 1) reader.warn("has more than one entry; only the first has an effect", "tracing");
  warnOfUnknown(reader);
  return object.finish(() => ({ ...(raw as Telemetry), spec }));
}

/**
 * The maximum length of an object's metrics, and of its tags of traces, as JSON. A proxy may have a listener for each
 * service of the mesh, and every listener repeats the tags once and the metrics ten times.
 */
const maxTelemetryLength = 65_536;

function checkLength(reader: Reader): void {
  for (const field of ["metrics", "tracing"] as const) {
    const length = copiedLength({ [field]: reader.has(field) ? reader.list(field).map(({ raw }) => raw) : [] });
    if (length > maxTelemetryLength)
      reader.error(
        `has ${length} characters, and at most ${maxTelemetryLength} are allowed, because every listener of a proxy repeats them; override fewer tags`,
        field,
      );
  }
}

function readTracing(reader: Reader): TelemetryTracing {
  const sampling = reader.number("randomSamplingPercentage");
  if (sampling !== undefined && (sampling < 0 || sampling > allPercent))
    reader.error(`must be from 0 to 100, got ${sampling}`, "randomSamplingPercentage");
  const tracing: TelemetryTracing = {
    match: readMode(reader),
    providers: readProviders(reader),
    randomSamplingPercentage: sampling,
    disableSpanReporting: reader.boolean("disableSpanReporting"),
    customTags: readTags(reader).tags,
    enableIstioTags: reader.boolean("enableIstioTags"),
    disableContextPropagation: reader.boolean("disableContextPropagation"),
    useRequestIdForTraceSampling: reader.boolean("useRequestIdForTraceSampling"),
  };
  if (tracing.providers.length > 1) reader.warn("has more than one; only the first has an effect", "providers");
  if (Object.hasOwn(tracing.customTags, "")) reader.error("must not have an empty name", "customTags");
  warnOfUnknown(reader);
  return tracing;
}

type Tags = Readonly<Record<string, TracingTag>>;

/** Reads `customTags`. Warns of tags that some proxies do not accept, and leaves them out of `accepted`. */
export function readTags(reader: Reader): { readonly tags: Tags; readonly accepted: Tags } {
  const tags = readObjects(reader, "customTags", readTag);
  const accepted = Object.entries(tags).filter(([name, tag]) => {
    if (tag.kind === "formatter" && exceedsFormat(reader, `customTags.${name}`, tag.value)) return false;
    if (name === "" || isAcceptedTag(tag)) return name !== "";
    const part = { formatter: "format", header: "header name", literal: "value", environment: "name" }[tag.kind];
    reader.warnNoEffect(`is left out, because not all proxies take its ${part}`, `customTags.${name}`);
    return false;
  });
  return { tags, accepted: Object.fromEntries(accepted) };
}

function readTag(reader: Reader): TracingTag {
  const found: TracingTag[] = [];
  for (const kind of ["literal", "formatter"] as const) {
    const nested = reader.object(kind);
    if (nested !== undefined) found.push({ kind, value: requireText(nested, "value") });
    warnOfUnknown(nested);
  }
  for (const kind of ["environment", "header"] as const) {
    const nested = reader.object(kind);
    if (nested !== undefined)
      found.push({ kind, name: requireText(nested, "name"), defaultValue: nested.string("defaultValue") ?? "" });
    warnOfUnknown(nested);
  }
  if (found.length !== 1)
    reader.error(`must have exactly one of literal, environment, header and formatter, got ${found.length}`);
  warnOfUnknown(reader);
  return found[0] ?? { kind: "literal", value: "" };
}

/**
 * Whether all proxies accept the tag. A proxy that does not accept it rejects the whole listener, and a waypoint's
 * listener serves other namespaces too.
 */
export function isAcceptedTag(tag: TracingTag): boolean {
  if (tag.kind === "formatter") return envoyFormatFault(tag.value, "tag") === undefined;
  if (tag.kind === "literal") return tag.value !== "";
  if (tag.kind === "environment") return tag.name !== "";
  return taggedHeaderFault(tag.name) === undefined;
}

function readMetrics(reader: Reader): TelemetryMetrics {
  const metrics: TelemetryMetrics = {
    providers: readProviders(reader),
    overrides: reader.objects("overrides").map(readOverride),
    reportingIntervalMs: readDurationMs(reader, "reportingInterval", 1),
  };
  warnOfUnknown(reader);
  return metrics;
}

function readOverride(reader: Reader): MetricsOverride {
  const match = reader.object("match");
  const customMetric = match?.string("customMetric");
  const metric = match?.oneOf("metric", istioMetrics);
  if (match?.has("metric") === true && match.has("customMetric"))
    match.error("cannot be combined with metric", "customMetric");
  if (customMetric === "") match?.error("must not be empty", "customMetric");
  const override: MetricsOverride = {
    match: {
      metric:
        customMetric === undefined
          ? { kind: "metric", metric: metric ?? "ALL_METRICS" }
          : { kind: "customMetric", name: customMetric },
      mode: match?.oneOf("mode", workloadModes) ?? "CLIENT_AND_SERVER",
    },
    disabled: reader.boolean("disabled"),
    tagOverrides: readObjects(reader, "tagOverrides", readTagOverride),
  };
  if (Object.hasOwn(override.tagOverrides, "")) reader.warn("should not have an empty name", "tagOverrides");
  warnOfUnknown(match);
  warnOfUnknown(reader);
  return override;
}

function readTagOverride(reader: Reader): { operation: "UPSERT" | "REMOVE"; value: string } {
  const operation = reader.oneOf("operation", ["UPSERT", "REMOVE"]) ?? "UPSERT";
  const value = reader.string("value") ?? "";
  if (operation === "UPSERT" && value === "")
    reader.error("is required when the operation is UPSERT: an expression, or REMOVE as the operation", "value");
  const isRead = operation === "UPSERT" && value !== "" && !exceedsExpressions(reader, "value", [value]);
  const fault = isRead ? celFault(value) : undefined;
  if (fault !== undefined) reader.warnNoEffect(`${fault}; the label is left out`, "value");
  if (operation === "REMOVE" && value !== "") reader.error("must not be set when the operation is REMOVE", "value");
  warnOfUnknown(reader);
  return { operation, value };
}

function readAccessLogging(reader: Reader): TelemetryAccessLogging {
  const filter = reader.object("filter");
  const expression = filter?.string("expression") ?? "";
  if (filter !== undefined) checkFilter(filter, expression);
  const logging: TelemetryAccessLogging = {
    match: readMode(reader),
    providers: readProviders(reader),
    disabled: reader.boolean("disabled"),
    filter: filter === undefined ? undefined : { expression },
  };
  warnOfUnknown(filter);
  warnOfUnknown(reader);
  return logging;
}

/**
 * Checks the filter's expression. It is an error if no proxy accepts it, and a warning if only Envoy does not. Envoy
 * would reject the listener, so Envoys do not get such a log.
 */
function checkFilter(filter: Reader, expression: string): void {
  if (exceedsExpressions(filter, "expression", [expression])) return;
  const fault = celFault(expression);
  if (fault !== undefined) {
    filter.error(expression.trim() === "" ? `${fault}; remove the filter to log all` : fault, "expression");
    return;
  }
  const envoyFault = envoyCelFault(expression);
  if (envoyFault !== undefined)
    filter.warn(`Envoys leave this access log out, because ${envoyFault}, got "${expression}"`, "expression");
}

function readMode(reader: Reader): { mode: WorkloadMode } | undefined {
  const match = reader.object("match");
  if (match === undefined) return undefined;
  const mode = match.oneOf("mode", workloadModes) ?? "CLIENT_AND_SERVER";
  warnOfUnknown(match);
  return { mode };
}

function readProviders(reader: Reader): readonly { readonly name: string }[] {
  return reader.objects("providers").map((entry) => {
    const name = requireText(entry, "name");
    warnOfUnknown(entry);
    return { name };
  });
}

export const telemetryKind = defineKind<Telemetry>({
  group: "telemetry.istio.io",
  versions: ["v1", "v1alpha1"],
  kind: "Telemetry",
  plural: "telemetries",
  namespaced: true,
  parse: parseTelemetry,
});
