// Envoy's access logs, traces and statistics.

export {
  type AccessLog,
  type AccessLogFilter,
  AccessLogSchema,
} from "#generated/proto/envoy/config/accesslog/v3/accesslog_pb.js";
export type { CustomTag } from "#generated/proto/envoy/type/tracing/v3/custom_tag_pb.js";
export {
  type FileAccessLog,
  FileAccessLogSchema,
} from "#generated/proto/envoy/extensions/access_loggers/file/v3/file_pb.js";
export {
  type CommonGrpcAccessLogConfig,
  CommonGrpcAccessLogConfigSchema,
  type HttpGrpcAccessLogConfig,
  HttpGrpcAccessLogConfigSchema,
  type TcpGrpcAccessLogConfig,
  TcpGrpcAccessLogConfigSchema,
} from "#generated/proto/envoy/extensions/access_loggers/grpc/v3/als_pb.js";
export type { StdoutAccessLog } from "#generated/proto/envoy/extensions/access_loggers/stream/v3/stream_pb.js";
export { UuidRequestIdConfigSchema } from "#generated/proto/envoy/extensions/request_id/uuid/v3/uuid_pb.js";
export {
  type MetricConfigSchema as IstioMetricConfigSchema,
  type PluginConfig as IstioStatsConfig,
  PluginConfigSchema as IstioStatsConfigSchema,
  Reporter as IstioStatsReporter,
} from "#generated/proto/envoy/extensions/stats/config_pb.js";
export { type ComparisonFilter, ComparisonFilter_Op } from "#generated/proto/envoy/config/accesslog/v3/accesslog_pb.js";
export {
  type OpenTelemetryAccessLogConfig,
  OpenTelemetryAccessLogConfigSchema,
} from "#generated/proto/envoy/extensions/access_loggers/open_telemetry/v3/logs_service_pb.js";
export { OpenTelemetryConfigSchema } from "#generated/proto/envoy/config/trace/v3/opentelemetry_pb.js";
export {
  ZipkinConfig_CollectorEndpointVersion,
  ZipkinConfig_TraceContextOption,
  ZipkinConfigSchema,
} from "#generated/proto/envoy/config/trace/v3/zipkin_pb.js";
export { ExpressionFilterSchema } from "#generated/proto/envoy/extensions/access_loggers/filters/cel/v3/cel_pb.js";
