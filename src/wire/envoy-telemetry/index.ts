/** Messages about traces, which a control plane writes for Envoy. Serin's proxies do not load them. */
export { type HttpService, HttpServiceSchema } from "#generated/proto/envoy/config/core/v3/http_service_pb.js";
export { DatadogConfigSchema } from "#generated/proto/envoy/config/trace/v3/datadog_pb.js";
export { type Tracing_Http, Tracing_HttpSchema } from "#generated/proto/envoy/config/trace/v3/http_tracer_pb.js";
export {
  type ClientConfig as SkyWalkingClientConfig,
  SkyWalkingConfigSchema,
} from "#generated/proto/envoy/config/trace/v3/skywalking_pb.js";
export { ReqWithoutQuerySchema } from "#generated/proto/envoy/extensions/formatter/req_without_query/v3/req_without_query_pb.js";
export { DynatraceResourceDetectorConfigSchema } from "#generated/proto/envoy/extensions/tracers/opentelemetry/resource_detectors/v3/dynatrace_resource_detector_pb.js";
export { EnvironmentResourceDetectorConfigSchema } from "#generated/proto/envoy/extensions/tracers/opentelemetry/resource_detectors/v3/environment_resource_detector_pb.js";
export { DynatraceSamplerConfigSchema } from "#generated/proto/envoy/extensions/tracers/opentelemetry/samplers/v3/dynatrace_sampler_pb.js";
export {
  type AnyValue,
  type KeyValue,
  type KeyValueList,
} from "#generated/proto/opentelemetry/proto/common/v1/common_pb.js";
