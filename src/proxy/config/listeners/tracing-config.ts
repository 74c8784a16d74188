import type { MessageShape } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { ownField } from "../../../base/index.ts";
import {
  HttpConnectionManager_TracingSchema,
  OpenTelemetryConfigSchema,
  UuidRequestIdConfigSchema,
  ZipkinConfig_CollectorEndpointVersion,
  ZipkinConfig_TraceContextOption,
  ZipkinConfigSchema,
  type CustomTag,
  type HttpConnectionManager,
  type HttpConnectionManager_Tracing,
} from "../../../wire/envoy/index.ts";
import type { ExchangeRecord } from "../../record/exchange-record.ts";
import { compileTextFormat } from "../../record/log-format.ts";
import { percentDecoded } from "../../terms/header-text.ts";
import { otlpSpans } from "../../tracing/otlp-spans.ts";
import { RequestTracing, type RequestTracingOptions } from "../../tracing/request-tracing.ts";
import type { BatchExporter, ExportTarget } from "../../tracing/batch-exporter.ts";
import type { Span } from "../../tracing/span.ts";
import type { CustomSpanTag } from "../../tracing/span-tags.ts";
import { zipkinSpans } from "../../tracing/zipkin-spans.ts";
import { checkFields, durationOr, unsupported, type ConfigNotes } from "../config-check.ts";
import type { DurationLike } from "../duration.ts";
import { resolveTypedStruct } from "../typed-struct.ts";

const percent = 100;
const defaultMaxPathLength = 256;
const defaultTimeoutMs = 5000;

/** How a connection manager's requests are traced, and which values the tags need from each request. */
export interface TracingSpec {
  readonly tracing: RequestTracing;
  readonly requestCapture: readonly string[];
  readonly responseCapture: readonly string[];
}

/**
 * Compiles a connection manager's tracing. If this proxy cannot send spans to the tracer, reports this. Trace contexts
 * are then passed on, and no spans are made.
 */
export function compileTracing(
  manager: Pick<HttpConnectionManager, "tracing" | "requestIdExtension">,
  where: string,
  notes: ConfigNotes,
): TracingSpec | undefined {
  const message = manager.tracing;
  if (message === undefined) return undefined;
  checkFields(HttpConnectionManager_TracingSchema, message, `${where}: tracing`, notes, {
    used: [
      "clientSampling",
      "randomSampling",
      "overallSampling",
      "provider",
      "noContextPropagation",
      "maxPathTagLength",
      "customTags",
      "spawnUpstreamSpan",
    ],
    harmless: ["verbose", "operation", "upstreamOperation"],
  });
  const tracer = tracerOf(message, where, notes);
  if (tracer === undefined) return undefined;
  if (tracer.exporter === undefined)
    notes.tell(
      `tracing: ${tracer.noExportReason ?? "there is no collector"}: this proxy forwards trace contexts and sends no spans`,
    );
  const customTags = message.customTags.flatMap((tag) =>
    compileTag(tag, `${where}: tracing, the tag ${tag.tag}`, notes),
  );
  if (tracer.exporter !== undefined && message.randomSampling?.value !== 0) tracer.exporter.prepare();
  const share = (value: { readonly value: number } | undefined): number => (value?.value ?? percent) / percent;
  return {
    tracing: new RequestTracing({
      formats: tracer.formats,
      readFormats: tracer.exporter === undefined ? ["w3c", "b3"] : tracer.formats,
      shortTraceIds: tracer.shortTraceIds,
      clientShare: share(message.clientSampling),
      randomShare: share(message.randomSampling),
      overallShare: share(message.overallSampling),
      byRequestId: decidesByRequestId(manager, where),
      propagates: !message.noContextPropagation,
      spawnsUpstreamSpan: message.spawnUpstreamSpan ?? false,
      maxPathLength: message.maxPathTagLength ?? defaultMaxPathLength,
      customTags,
      exporter: tracer.exporter,
      node: notes.services.exports.node,
    }),
    requestCapture: customTags.flatMap((tag) => tag.requestCapture),
    responseCapture: customTags.flatMap((tag) => tag.responseCapture),
  };
}

function decidesByRequestId(
  { requestIdExtension }: Pick<HttpConnectionManager, "requestIdExtension">,
  where: string,
): boolean {
  const typed = requestIdExtension?.typedConfig;
  if (typed === undefined) return true;
  const config = anyUnpack(resolveTypedStruct(typed, `${where}: requestIdExtension`), UuidRequestIdConfigSchema);
  return config?.useRequestIdForTraceSampling ?? true;
}

interface Tracer extends Pick<RequestTracingOptions, "formats" | "shortTraceIds"> {
  readonly exporter: BatchExporter<Span> | undefined;
  readonly noExportReason?: string;
}

/**
 * The tracer of a connection manager. Undefined if the configuration names none: unlike Envoy's, this proxy's bootstrap
 * has no default tracer. Undefined also for a tracer whose trace contexts this proxy cannot write. Contexts then stay
 * as the client sent them.
 */
function tracerOf({ provider }: HttpConnectionManager_Tracing, where: string, notes: ConfigNotes): Tracer | undefined {
  const config =
    provider?.configType.case === "typedConfig"
      ? resolveTypedStruct(provider.configType.value, `${where}: tracing`)
      : undefined;
  if (config === undefined) return undefined;
  const { exports: collectors } = notes.services;
  const exporterTo: TracerContext["exporterTo"] = (target, service) => {
    const exporter = collectors.to(JSON.stringify([target.statPrefix, target.request, service]), target);
    return exporter === undefined
      ? { exporter, noExportReason: "this proxy does not send to so many collectors" }
      : { exporter };
  };
  const zipkin = anyUnpack(config, ZipkinConfigSchema);
  if (zipkin !== undefined) return zipkinTracer(zipkin, { where, notes, exporterTo });
  const telemetry = anyUnpack(config, OpenTelemetryConfigSchema);
  if (telemetry !== undefined) return openTelemetryTracer(telemetry, { where, notes, exporterTo });
  notes.tell(`tracing: the tracer ${provider?.name ?? ""} is not supported: requests are not traced`);
  return undefined;
}

interface TracerContext {
  readonly where: string;
  readonly notes: ConfigNotes;
  readonly exporterTo: (target: ExportTarget<Span>, service: string) => Pick<Tracer, "exporter" | "noExportReason">;
}

function zipkinTracer(
  zipkin: MessageShape<typeof ZipkinConfigSchema>,
  { where, notes, exporterTo }: TracerContext,
): Tracer {
  const both = zipkin.traceContextOption === ZipkinConfig_TraceContextOption.USE_B3_WITH_W3C_PROPAGATION;
  const shared = {
    formats: both ? (["b3", "w3c"] as const) : (["b3"] as const),
    shortTraceIds: !zipkin.traceId128bit,
  };
  if (
    zipkin.collectorService === undefined &&
    zipkin.collectorEndpointVersion !== ZipkinConfig_CollectorEndpointVersion.HTTP_JSON
  )
    return { ...shared, exporter: undefined, noExportReason: "Zipkin's protobuf format is not supported" };
  const cluster = zipkin.collectorCluster;
  const old: CollectorService = {
    httpUri: {
      uri: `${zipkin.collectorHostname === "" ? cluster : zipkin.collectorHostname}${zipkin.collectorEndpoint}`,
      httpUpstreamType: { case: "cluster", value: cluster },
    },
    requestHeadersToAdd: [],
  };
  return {
    ...shared,
    ...exporterTo(
      {
        statPrefix: "tracing.zipkin",
        items: "spans",
        encode: zipkinSpans(notes.services.exports.node),
        isGrpc: false,
        request: requestOf(zipkin.collectorService ?? old, "application/json", where),
      },
      "",
    ),
  };
}

function openTelemetryTracer(
  telemetry: MessageShape<typeof OpenTelemetryConfigSchema>,
  { where, notes, exporterTo }: TracerContext,
): Tracer {
  const shared = { formats: ["w3c"] as const, shortTraceIds: false };
  if (telemetry.sampler !== undefined) notes.ignored(`tracing: the sampler ${telemetry.sampler.name}`);
  const encode = otlpSpans({
    "service.name": telemetry.serviceName,
    ...resourceOfEnvironment(
      telemetry.resourceDetectors.map(({ name }) => name),
      notes,
    ),
  });
  if (telemetry.httpService !== undefined)
    return {
      ...shared,
      ...exporterTo(
        {
          statPrefix: "tracing.opentelemetry",
          items: "spans",
          encode,
          isGrpc: false,
          request: requestOf(telemetry.httpService, "application/x-protobuf", where),
        },
        telemetry.serviceName,
      ),
    };
  const target = telemetry.grpcService?.targetSpecifier;
  if (target?.case !== "envoyGrpc")
    return { ...shared, exporter: undefined, noExportReason: "OpenTelemetry's collector has no cluster" };
  const metadata =
    telemetry.grpcService?.initialMetadata.map(({ key, value }) => [key.toLowerCase(), value] as const) ?? [];
  const request: ExportTarget<Span>["request"] = {
    cluster: target.value.clusterName,
    protocol: "http2",
    path: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    authority: target.value.authority === "" ? target.value.clusterName : target.value.authority,
    headers: [["content-type", "application/grpc"], ["te", "trailers"], ...metadata],
    timeoutMs: durationOr(telemetry.grpcService?.timeout, defaultTimeoutMs),
  };
  return {
    ...shared,
    ...exporterTo(
      { statPrefix: "tracing.opentelemetry", items: "spans", encode, isGrpc: true, request },
      telemetry.serviceName,
    ),
  };
}

/** The supported part of Envoy's HttpService: address, path and headers. */
interface CollectorService {
  readonly httpUri?:
    | {
        readonly uri: string;
        readonly httpUpstreamType: { readonly case: "cluster"; readonly value: string } | { readonly case: undefined };
        readonly timeout?: DurationLike | undefined;
      }
    | undefined;
  readonly requestHeadersToAdd: readonly {
    readonly header?: { readonly key: string; readonly value: string } | undefined;
  }[];
}

/** Reads the address. Istio writes only the host and the path. A scheme is dropped: the cluster decides about TLS. */
function requestOf(service: CollectorService, contentType: string, where: string): ExportTarget<Span>["request"] {
  const uri = service.httpUri;
  if (uri?.httpUpstreamType.case !== "cluster") throw unsupported(where, "tracing: a collector without a cluster");
  const rest = uri.uri.replace(/^[a-z]+:\/\//i, "");
  const slash = rest.indexOf("/");
  const headers = service.requestHeadersToAdd.flatMap(({ header }) =>
    header === undefined ? [] : [[header.key.toLowerCase(), header.value] as const],
  );
  return {
    cluster: uri.httpUpstreamType.value,
    protocol: "http1",
    path: slash < 0 ? "/" : rest.slice(slash),
    authority: slash < 0 ? rest : rest.slice(0, slash),
    headers: [["content-type", contentType], ...headers],
    timeoutMs: durationOr(uri.timeout, defaultTimeoutMs),
  };
}

const environmentDetector = "envoy.tracers.opentelemetry.resource_detectors.environment";

/** Reads the environment variable `OTEL_RESOURCE_ATTRIBUTES=a=b,c=d`, if the configuration asks for it. */
function resourceOfEnvironment(detectors: readonly string[], notes: ConfigNotes): Readonly<Record<string, string>> {
  for (const name of detectors)
    if (name !== environmentDetector) notes.ignored(`tracing: the resource detector ${name}`);
  const text = detectors.includes(environmentDetector) ? (process.env["OTEL_RESOURCE_ATTRIBUTES"] ?? "") : "";
  return Object.fromEntries(
    text
      .split(",")
      .flatMap((pair) =>
        pair.includes("=")
          ? [[pair.slice(0, pair.indexOf("=")).trim(), percentDecoded(pair.slice(pair.indexOf("=") + 1).trim())]]
          : [],
      ),
  );
}

function compileTag({ tag: name, type }: CustomTag, where: string, notes: ConfigNotes): CustomSpanTag[] {
  const tag = (
    valueOf: CustomSpanTag["valueOf"],
    captures: Partial<Pick<CustomSpanTag, "requestCapture" | "responseCapture">> = {},
  ): CustomSpanTag[] => [{ name, valueOf, requestCapture: [], responseCapture: [], ...captures }];
  switch (type.case) {
    case "literal": {
      const { value } = type.value;
      return tag(() => value);
    }
    case "environment": {
      const value = ownField(process.env, type.value.name) ?? type.value.defaultValue;
      return tag(() => value);
    }
    case "requestHeader": {
      const format = compileTextFormat(`%REQ(${type.value.name})%`, (operator) => unsupported(where, operator));
      const { defaultValue } = type.value;
      return tag((record, capture) => orAbsent(format.line(record, capture)) ?? defaultValue, format);
    }
    case "value": {
      const format = compileTextFormat(type.value, (operator) => unsupported(where, operator));
      return tag((record, capture) => orAbsent(format.line(record, capture)), format);
    }
    case "metadata": {
      const { kind, metadataKey, defaultValue } = type.value;
      const path = metadataKey?.path.flatMap(({ segment }) => (segment.case === "key" ? [segment.value] : [])) ?? [];
      if (kind?.kind.case === undefined || kind.kind.case === "request")
        return tag((record) => metadataOf(record, metadataKey?.key ?? "", path) ?? defaultValue);
      notes.ignored(`tracing: the tag ${name}, of the metadata of ${kind.kind.case}s,`);
      return defaultValue === "" ? [] : tag(() => defaultValue);
    }
    default:
      throw unsupported(where, type.case ?? "without a value");
  }
}

function orAbsent(text: string): string | undefined {
  return text === "-" || text === "" ? undefined : text;
}

function metadataOf({ metadata }: ExchangeRecord, filter: string, path: readonly string[]): string | undefined {
  let value: unknown = metadata?.get(filter);
  for (const key of path)
    value =
      typeof value === "object" && value !== null
        ? ownField(value as Readonly<Record<string, unknown>>, key)
        : undefined;
  if (value === undefined || value === null) return undefined;
  return typeof value === "string" ? value : JSON.stringify(value);
}
