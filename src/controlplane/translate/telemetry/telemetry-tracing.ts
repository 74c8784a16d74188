import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  isAcceptedTag,
  type ExtensionProvider,
  type Telemetry,
  type TelemetryTracing,
  type TracingTag,
} from "../../../api/istio/index.ts";
import type { HttpConnectionManagerSchema } from "../../../wire/envoy/index.ts";
import type { PolicySubject } from "../../model/authorization-selection.ts";
import { compareText, type MeshSettings } from "../../model/facts.ts";
import { memos } from "../../model/memos.ts";
import { providerOf, type ProviderSource, type TelemetrySide } from "./telemetry-provider.ts";
import { tracerOf } from "./telemetry-tracer.ts";
import { istioTags, waypointTags, workloadNameOf, type CustomTagInit } from "./telemetry-tag.ts";

type ConnectionManagerInit = Exclude<MessageInitShape<typeof HttpConnectionManagerSchema>, { $typeName: string }>;
type TracingInit = Exclude<NonNullable<ConnectionManagerInit["tracing"]>, { $typeName: string }>;
type Level = Pick<Telemetry["spec"], "tracing">;

export interface RequestTracing {
  readonly settings: TracingInit;
  /** Whether the request's id decides whether the request is traced. */
  readonly byRequestId: boolean;
}

export interface TracingContext {
  readonly subject: PolicySubject;
  readonly side: TelemetrySide;
  readonly mode: "CLIENT" | "SERVER";
}

/** The value of the narrowest level that has one, for each setting. */
interface Wanted {
  readonly provider: ExtensionProvider | undefined;
  readonly disabled: boolean;
  readonly samplingPercent: number | undefined;
  readonly customTags: Tags;
  readonly byRequestId: boolean;
  readonly istioTags: boolean;
  readonly noPropagation: boolean;
}

const allTraces = 100;

/**
 * How requests are traced. Undefined if they are not. Without a Telemetry object and a default provider, the proxy
 * config decides; its collector is in the proxy's bootstrap.
 */
export function tracingOf(
  levels: readonly Level[],
  context: TracingContext,
  source: ProviderSource,
): RequestTracing | undefined {
  const { mesh } = source;
  const entries = levels.flatMap(({ tracing }) => tracing);
  if (entries.length === 0 && mesh.defaultTracingProviders.length === 0) return ofProxyConfig(context, mesh);
  const wanted = merged(entries, context.mode, mesh);
  if (wanted.disabled || wanted.provider?.kind !== "tracing") return undefined;
  const { settings } = wanted.provider;
  const tracer = tracerOf(
    settings,
    { service: serviceName(context.subject, mesh), workload: workloadNameOf(context.subject) },
    source,
  );
  if (tracer === undefined) return undefined;
  const maxTagLength =
    ("maxTagLength" in settings ? settings.maxTagLength : undefined) ?? mesh.tracing?.maxPathTagLength;
  const sampling = tracer.samplesItself ? allTraces : (wanted.samplingPercent ?? defaultSampling(mesh));
  // A gateway's requests to the mesh have spans of their own, and so has every request that SkyWalking traces.
  const ownSpan = context.side === "gateway" || settings.kind === "skywalking";
  return {
    byRequestId: wanted.byRequestId,
    settings: {
      ...samplingOf(sampling),
      customTags: tagsOf(wanted.istioTags, wanted.customTags, context, mesh),
      provider: tracer.provider,
      ...(ownSpan ? { spawnUpstreamSpan: true } : {}),
      ...(maxTagLength === undefined ? {} : { maxPathTagLength: maxTagLength }),
      ...(wanted.noPropagation ? { noContextPropagation: true } : {}),
    },
  };
}

function ofProxyConfig(context: TracingContext, mesh: MeshSettings): RequestTracing | undefined {
  if (!mesh.enableTracing || mesh.tracing === undefined) return undefined;
  const { enableIstioTags, maxPathTagLength } = mesh.tracing;
  return {
    byRequestId: true,
    settings: {
      ...samplingOf(defaultSampling(mesh)),
      customTags: tagsOf(enableIstioTags, {}, context, mesh),
      ...(maxPathTagLength === undefined ? {} : { maxPathTagLength }),
    },
  };
}

function defaultSampling({ tracing, traceSamplingPercent }: MeshSettings): number {
  return tracing?.samplingPercent ?? traceSamplingPercent;
}

/** All requests are traced whose client asked for it, and a share of the others. */
function samplingOf(percent: number): Pick<TracingInit, "clientSampling" | "randomSampling" | "overallSampling"> {
  return {
    clientSampling: { value: allTraces },
    randomSampling: { value: percent },
    overallSampling: { value: allTraces },
  };
}

function merged(entries: readonly TelemetryTracing[], mode: "CLIENT" | "SERVER", mesh: MeshSettings): Wanted {
  const own = entries.filter(
    ({ match }) => match === undefined || match.mode === "CLIENT_AND_SERVER" || match.mode === mode,
  );
  const last = <Value>(read: (entry: TelemetryTracing) => Value | undefined): Value | undefined =>
    own.map(read).findLast((value) => value !== undefined);
  const name = last(({ providers }) => providers[0]?.name) ?? mesh.defaultTracingProviders[0];
  return {
    provider: name === undefined ? undefined : providerOf(name, mesh),
    disabled: last((entry) => entry.disableSpanReporting) ?? false,
    samplingPercent: last((entry) => entry.randomSamplingPercentage),
    customTags: last(({ customTags }) => (Object.keys(customTags).length === 0 ? undefined : customTags)) ?? {},
    byRequestId: last((entry) => entry.useRequestIdForTraceSampling) ?? true,
    istioTags: last((entry) => entry.enableIstioTags) ?? true,
    noPropagation: last((entry) => entry.disableContextPropagation) ?? false,
  };
}

type Tags = Readonly<Record<string, TracingTag>>;

/**
 * The tags of a Telemetry that all proxies accept. They are checked once for each Telemetry, because every listener has
 * them.
 */
const acceptedTags = memos.memo<Tags, Tags>("accepted-tags");

/** The tags of spans. If a Telemetry has tags, they replace those of the proxy config. */
function tagsOf(withIstio: boolean, own: Tags, { subject, side }: TracingContext, mesh: MeshSettings): CustomTagInit[] {
  const given =
    Object.keys(own).length > 0
      ? acceptedTags.of(own, () => Object.fromEntries(Object.entries(own).filter(([, tag]) => isAcceptedTag(tag))))
      : (mesh.tracing?.customTags ?? {});
  return [
    ...(withIstio ? istioTags(subject, mesh) : []),
    ...(side === "waypoint" ? waypointTags() : []),
    ...Object.entries(given).map(([tag, value]) => ({ tag, type: tagType(value) })),
  ].sort((left, right) => compareText(left.tag, right.tag));
}

function tagType(tag: TracingTag): CustomTagInit["type"] {
  switch (tag.kind) {
    case "literal":
      return { case: "literal", value: { value: tag.value } };
    case "environment":
      return { case: "environment", value: { name: tag.name, defaultValue: tag.defaultValue } };
    case "header":
      return { case: "requestHeader", value: { name: tag.name, defaultValue: tag.defaultValue } };
    case "formatter":
      return { case: "value", value: tag.value };
  }
}

function serviceName(subject: PolicySubject, { tracingServiceName }: MeshSettings): string {
  const name = workloadNameOf(subject);
  switch (tracingServiceName) {
    case "CANONICAL_NAME_ONLY":
      return name;
    case "CANONICAL_NAME_AND_NAMESPACE":
      return `${name}.${subject.namespace}`;
    case "APP_LABEL_AND_NAMESPACE":
      return `${subject.labels["app"] ?? name}.${subject.namespace}`;
  }
}
