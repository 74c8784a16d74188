import type { Reader } from "../../reader.ts";
import { readDurationMs, readText, warnOfUnknown } from "../fields.ts";
import {
  readProviderHeaders,
  readProviderHttp,
  readServicePort,
  type ProviderHeaders,
  type ProviderHttp,
  type ProviderService,
} from "./provider-service.ts";

export type TracingProvider = ZipkinProvider | OpenTelemetryProvider | DatadogProvider | SkyWalkingProvider;

interface Collector extends ProviderService {
  /** The maximum length of the request path in a span. Absent means Envoy's default. */
  readonly maxTagLength?: number | undefined;
}

export interface ZipkinProvider extends Collector {
  readonly kind: "zipkin";
  /** Absent means Zipkin's default path. */
  readonly path?: string | undefined;
  readonly shortTraceIds: boolean;
  readonly propagatesW3c: boolean;
  readonly timeoutMs?: number | undefined;
  readonly headers: ProviderHeaders;
}

export interface OpenTelemetryProvider extends Collector {
  readonly kind: "opentelemetry";
  /** Absent means gRPC. */
  readonly http?: ProviderHttp | undefined;
  readonly grpc: { readonly timeoutMs?: number | undefined; readonly initialMetadata: ProviderHeaders };
  readonly detectors: { readonly environment: boolean; readonly dynatrace: boolean };
  /** Whether spans name the service by OpenTelemetry's conventions for Kubernetes. */
  readonly semanticConventions: boolean;
  readonly sampler?: DynatraceSampler | undefined;
}

export interface DynatraceSampler {
  readonly tenant: string;
  readonly clusterId: number;
  readonly rootSpansPerMinute: number;
  /** Where the sampler gets its settings. Absent means the server that receives spans. */
  readonly api?: (ProviderService & { readonly http: ProviderHttp }) | undefined;
}

export interface DatadogProvider extends Collector {
  readonly kind: "datadog";
}

export interface SkyWalkingProvider extends ProviderService {
  readonly kind: "skywalking";
  readonly accessToken?: string | undefined;
}

const onlyEnvoy = "gets spans only from Envoy; Serin's proxy propagates trace contexts and sends no spans";
const notByOurProxy = "has an effect in Envoy only, not in Serin's proxy";

export function readZipkin(reader: Reader): ZipkinProvider {
  const provider: ZipkinProvider = {
    kind: "zipkin",
    ...readCollector(reader),
    path: readText(reader, "path"),
    shortTraceIds: reader.boolean("enable64bitTraceId") ?? false,
    propagatesW3c:
      reader.oneOf("traceContextOption", ["USE_B3", "USE_B3_WITH_W3C_PROPAGATION"]) === "USE_B3_WITH_W3C_PROPAGATION",
    timeoutMs: readDurationMs(reader, "timeout", 1),
    headers: readProviderHeaders(reader, "headers"),
  };
  warnOfUnknown(reader);
  return provider;
}

export function readOpenTelemetry(reader: Reader): OpenTelemetryProvider {
  const http = reader.object("http");
  const grpc = reader.object("grpc");
  const detectors = reader.object("resourceDetectors");
  if (detectors?.has("dynatrace") === true) detectors.warnNoEffect(notByOurProxy, "dynatrace");
  if (reader.has("dynatraceSampler")) reader.warnNoEffect(notByOurProxy, "dynatraceSampler");
  const provider: OpenTelemetryProvider = {
    kind: "opentelemetry",
    ...readCollector(reader),
    http: http === undefined ? undefined : readProviderHttp(http),
    grpc: {
      timeoutMs: grpc === undefined ? undefined : readDurationMs(grpc, "timeout"),
      initialMetadata: grpc === undefined ? [] : readProviderHeaders(grpc, "initialMetadata"),
    },
    detectors: {
      environment: detectors?.object("environment") !== undefined,
      dynatrace: detectors?.object("dynatrace") !== undefined,
    },
    semanticConventions:
      reader.oneOf("serviceAttributeEnrichment", ["ISTIO_CANONICAL", "OTEL_SEMANTIC_CONVENTIONS"]) ===
      "OTEL_SEMANTIC_CONVENTIONS",
    sampler: readSampler(reader.object("dynatraceSampler"), http !== undefined),
  };
  if (http !== undefined && grpc !== undefined) reader.error("cannot be combined with http", "grpc");
  for (const nested of [grpc, detectors, reader]) warnOfUnknown(nested);
  return provider;
}

function readSampler(reader: Reader | undefined, hasHttp: boolean): DynatraceSampler | undefined {
  if (reader === undefined) return undefined;
  const service = reader.object("httpService");
  const http = service?.object("http");
  if (service === undefined && !hasHttp) reader.error("is required where spans are not sent over HTTP", "httpService");
  const sampler: DynatraceSampler = {
    tenant: reader.string("tenant") ?? "",
    clusterId: reader.integer("clusterId") ?? 0,
    rootSpansPerMinute: reader.integer("rootSpansPerMinute", 0) ?? 0,
    api:
      service === undefined
        ? undefined
        : {
            ...readServicePort(service),
            http: http === undefined ? { path: "", headers: [] } : readProviderHttp(http),
          },
  };
  warnOfUnknown(service);
  warnOfUnknown(reader);
  return sampler;
}

export function readDatadog(reader: Reader): DatadogProvider {
  reader.warnNoEffect(onlyEnvoy);
  const provider: DatadogProvider = { kind: "datadog", ...readCollector(reader) };
  warnOfUnknown(reader);
  return provider;
}

export function readSkyWalking(reader: Reader): SkyWalkingProvider {
  reader.warnNoEffect(onlyEnvoy);
  const provider: SkyWalkingProvider = {
    kind: "skywalking",
    ...readServicePort(reader),
    accessToken: readText(reader, "accessToken"),
  };
  warnOfUnknown(reader);
  return provider;
}

function readCollector(reader: Reader): Collector {
  return { ...readServicePort(reader), maxTagLength: reader.integer("maxTagLength", 0) || undefined };
}
