import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  DynatraceSampler,
  OpenTelemetryProvider,
  ProviderHeaders,
  ProviderHttp,
  TracingProvider,
  ZipkinProvider,
} from "../../../api/istio/index.ts";
import {
  HeaderValueOption_HeaderAppendAction,
  OpenTelemetryConfigSchema,
  ZipkinConfig_CollectorEndpointVersion,
  ZipkinConfig_TraceContextOption,
  ZipkinConfigSchema,
} from "../../../wire/envoy/index.ts";
import {
  DatadogConfigSchema,
  DynatraceResourceDetectorConfigSchema,
  DynatraceSamplerConfigSchema,
  EnvironmentResourceDetectorConfigSchema,
  SkyWalkingConfigSchema,
  type HttpServiceSchema,
  type Tracing_HttpSchema,
} from "../../../wire/envoy-telemetry/index.ts";
import type { ProviderCluster } from "../../model/provider-cluster.ts";
import { durationOfMs, packed } from "../envoy-any.ts";
import type { ProviderSource } from "./telemetry-provider.ts";

type TracerInit = Exclude<MessageInitShape<typeof Tracing_HttpSchema>, { $typeName: string }>;

export interface Tracer {
  readonly provider: TracerInit;
  readonly samplesItself: boolean;
}

/** The proxy's service name in the style of Istio's tracers, and by OpenTelemetry's conventions. */
export interface TracedNames {
  readonly service: string;
  readonly workload: string;
}

/** How spans reach a collector. Undefined if the collector's service is unknown. */
export function tracerOf(settings: TracingProvider, names: TracedNames, source: ProviderSource): Tracer | undefined {
  const found = source.clusterOf(settings);
  if (found === undefined) return undefined;
  switch (settings.kind) {
    case "zipkin":
      return tracer("envoy.tracers.zipkin", zipkin(settings, found));
    case "datadog":
      return tracer(
        "envoy.tracers.datadog",
        packed(DatadogConfigSchema, {
          collectorCluster: found.cluster,
          collectorHostname: found.host,
          serviceName: names.service,
        }),
      );
    case "skywalking": {
      const token =
        settings.accessToken === undefined
          ? {}
          : { clientConfig: { backendTokenSpecifier: { case: "backendToken" as const, value: settings.accessToken } } };
      return tracer(
        "envoy.tracers.skywalking",
        packed(SkyWalkingConfigSchema, { grpcService: grpcService(found), ...token }),
      );
    }
    case "opentelemetry":
      return openTelemetry(settings, found, names, source);
  }
}

function tracer(name: string, config: ReturnType<typeof packed>, samplesItself = false): Tracer {
  return { provider: { name, configType: { case: "typedConfig", value: config } }, samplesItself };
}

const zipkinPath = "/api/v2/spans";
const zipkinTimeoutMs = 5000;

function zipkin({ path, shortTraceIds, propagatesW3c, timeoutMs, headers }: ZipkinProvider, found: ProviderCluster) {
  return packed(ZipkinConfigSchema, {
    collectorEndpointVersion: ZipkinConfig_CollectorEndpointVersion.HTTP_JSON,
    traceId128bit: !shortTraceIds,
    sharedSpanContext: false,
    collectorService: httpService(`http://${found.host}${path ?? zipkinPath}`, found.cluster, {
      path: "",
      timeoutMs: timeoutMs ?? zipkinTimeoutMs,
      headers,
    }),
    traceContextOption: propagatesW3c
      ? ZipkinConfig_TraceContextOption.USE_B3_WITH_W3C_PROPAGATION
      : ZipkinConfig_TraceContextOption.USE_B3,
  });
}

function openTelemetry(
  settings: OpenTelemetryProvider,
  found: ProviderCluster,
  names: TracedNames,
  source: ProviderSource,
): Tracer | undefined {
  const { http, grpc, detectors, semanticConventions, sampler } = settings;
  const sampling = sampler === undefined ? undefined : dynatrace(sampler, settings, found, source);
  if (sampler !== undefined && sampling === undefined) return undefined;
  const environment = detectors.environment || semanticConventions;
  const config = packed(OpenTelemetryConfigSchema, {
    serviceName: semanticConventions ? names.workload : names.service,
    ...(http === undefined
      ? {
          grpcService: {
            ...grpcService(found),
            ...(grpc.timeoutMs === undefined ? {} : { timeout: durationOfMs(grpc.timeoutMs) }),
            initialMetadata: grpc.initialMetadata.map(({ name, value }) => ({ key: name, value })),
          },
        }
      : { httpService: httpService(joined(found.host, http.path), found.cluster, http) }),
    resourceDetectors: [
      ...(environment
        ? [
            {
              name: "envoy.tracers.opentelemetry.resource_detectors.environment",
              typedConfig: packed(EnvironmentResourceDetectorConfigSchema, {}),
            },
          ]
        : []),
      ...(detectors.dynatrace
        ? [
            {
              name: "envoy.tracers.opentelemetry.resource_detectors.dynatrace",
              typedConfig: packed(DynatraceResourceDetectorConfigSchema, {}),
            },
          ]
        : []),
    ],
    ...(sampling === undefined
      ? {}
      : { sampler: { name: "envoy.tracers.opentelemetry.samplers.dynatrace", typedConfig: sampling } }),
  });
  return tracer("envoy.tracers.opentelemetry", config, sampler !== undefined);
}

const samplingPath = "api/v2/samplingConfiguration";

/** Dynatrace's sampler. It reads its settings from Dynatrace's API, or from the host that receives the spans. */
function dynatrace(
  { tenant, clusterId, rootSpansPerMinute, api }: DynatraceSampler,
  { http }: OpenTelemetryProvider,
  found: ProviderCluster,
  { clusterOf }: ProviderSource,
) {
  const target = api === undefined ? found : clusterOf(api);
  if (target === undefined) return undefined;
  const service =
    api === undefined ? { path: samplingPath, timeoutMs: http?.timeoutMs, headers: http?.headers ?? [] } : api.http;
  return packed(DynatraceSamplerConfigSchema, {
    tenant,
    clusterId,
    rootSpansPerMinute,
    httpService: httpService(joined(target.host, service.path), target.cluster, service),
  });
}

function joined(host: string, path: string): string {
  return path === "" ? host : `${host}/${path.replace(/^\/+/, "")}`;
}

function httpService(
  uri: string,
  cluster: string,
  { timeoutMs, headers }: ProviderHttp,
): MessageInitShape<typeof HttpServiceSchema> {
  return {
    httpUri: {
      uri,
      httpUpstreamType: { case: "cluster", value: cluster },
      ...(timeoutMs === undefined ? {} : { timeout: durationOfMs(timeoutMs) }),
    },
    requestHeadersToAdd: headersToAdd(headers),
  };
}

function headersToAdd(headers: ProviderHeaders) {
  return headers.map(({ name, value }) => ({
    header: { key: name, value },
    appendAction: HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD,
  }));
}

function grpcService({ cluster, host }: ProviderCluster) {
  return { targetSpecifier: { case: "envoyGrpc" as const, value: { clusterName: cluster, authority: host } } };
}
