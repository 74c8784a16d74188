/** What Serin reads and writes of Envoy's API, v3. Loading it costs more than the other doors of wire: ztunnel stays out. */
export {
  type DataSource,
  DataSourceSchema,
  type HeaderValue,
  type HeaderValueOption,
  HeaderValueOption_HeaderAppendAction,
  HeaderValueOptionSchema,
  HeaderValueSchema,
  type Locality,
  LocalitySchema,
  type Metadata,
  MetadataSchema,
  type Node,
  NodeSchema,
  type RuntimeFractionalPercent,
  RuntimeFractionalPercentSchema,
  TrafficDirection,
  type TransportSocket,
  TransportSocketSchema,
} from "#generated/proto/envoy/config/core/v3/base_pb.js";
export {
  type Address,
  AddressSchema,
  type CidrRange,
  CidrRangeSchema,
  type EnvoyInternalAddress,
  EnvoyInternalAddressSchema,
  type SocketAddress,
  SocketAddressSchema,
} from "#generated/proto/envoy/config/core/v3/address_pb.js";
export {
  type AggregatedConfigSource,
  AggregatedConfigSourceSchema,
  type ApiConfigSource,
  ApiConfigSource_ApiType,
  ApiConfigSourceSchema,
  ApiVersion,
  type ConfigSource,
  ConfigSourceSchema,
} from "#generated/proto/envoy/config/core/v3/config_source_pb.js";
export {
  type GrpcService,
  type GrpcService_EnvoyGrpc,
  GrpcService_EnvoyGrpcSchema,
  GrpcServiceSchema,
} from "#generated/proto/envoy/config/core/v3/grpc_service_pb.js";
export { type TypedExtensionConfig, TypedExtensionConfigSchema } from "#generated/proto/envoy/config/core/v3/extension_pb.js";
export {
  type Http1ProtocolOptions,
  Http1ProtocolOptionsSchema,
  type Http2ProtocolOptions,
  Http2ProtocolOptionsSchema,
  type HttpProtocolOptions as CommonHttpProtocolOptions,
  HttpProtocolOptionsSchema as CommonHttpProtocolOptionsSchema,
} from "#generated/proto/envoy/config/core/v3/protocol_pb.js";
export { HealthStatus } from "#generated/proto/envoy/config/core/v3/health_check_pb.js";
export {
  type SubstitutionFormatString,
  SubstitutionFormatStringSchema,
} from "#generated/proto/envoy/config/core/v3/substitution_format_string_pb.js";
export {
  type Cluster,
  type Cluster_CommonLbConfig,
  Cluster_CommonLbConfigSchema,
  Cluster_DiscoveryType,
  Cluster_DnsLookupFamily,
  type Cluster_EdsClusterConfig,
  Cluster_EdsClusterConfigSchema,
  Cluster_LbPolicy,
  type Cluster_OriginalDstLbConfig,
  Cluster_OriginalDstLbConfigSchema,
  type Cluster_TransportSocketMatch,
  Cluster_TransportSocketMatchSchema,
  ClusterSchema,
} from "#generated/proto/envoy/config/cluster/v3/cluster_pb.js";
export {
  type CircuitBreakers,
  type CircuitBreakers_Thresholds,
  CircuitBreakers_ThresholdsSchema,
  CircuitBreakersSchema,
} from "#generated/proto/envoy/config/cluster/v3/circuit_breaker_pb.js";
export { type OutlierDetection, OutlierDetectionSchema } from "#generated/proto/envoy/config/cluster/v3/outlier_detection_pb.js";
export { type ClusterLoadAssignment, ClusterLoadAssignmentSchema } from "#generated/proto/envoy/config/endpoint/v3/endpoint_pb.js";
export {
  type Endpoint,
  EndpointSchema,
  type LbEndpoint,
  LbEndpointSchema,
  type LocalityLbEndpoints,
  LocalityLbEndpointsSchema,
} from "#generated/proto/envoy/config/endpoint/v3/endpoint_components_pb.js";
export {
  type Listener,
  type Listener_InternalListenerConfig,
  Listener_InternalListenerConfigSchema,
  ListenerSchema,
} from "#generated/proto/envoy/config/listener/v3/listener_pb.js";
export {
  type Filter,
  type FilterChain,
  type FilterChainMatch,
  FilterChainMatchSchema,
  FilterChainSchema,
  FilterSchema,
  type ListenerFilter,
  ListenerFilterSchema,
} from "#generated/proto/envoy/config/listener/v3/listener_components_pb.js";
export { type RouteConfiguration, RouteConfigurationSchema } from "#generated/proto/envoy/config/route/v3/route_pb.js";
export {
  type Decorator,
  DecoratorSchema,
  type DirectResponseAction,
  DirectResponseActionSchema,
  type HeaderMatcher,
  HeaderMatcherSchema,
  type NonForwardingAction,
  NonForwardingActionSchema,
  type QueryParameterMatcher,
  QueryParameterMatcherSchema,
  type RedirectAction,
  RedirectAction_RedirectResponseCode,
  RedirectActionSchema,
  type RetryPolicy,
  type RetryPolicy_RetryHostPredicate,
  RetryPolicy_RetryHostPredicateSchema,
  RetryPolicySchema,
  type Route,
  type RouteAction,
  RouteAction_ClusterNotFoundResponseCode,
  type RouteAction_HashPolicy,
  RouteAction_HashPolicySchema,
  type RouteAction_MaxStreamDuration,
  RouteAction_MaxStreamDurationSchema,
  type RouteAction_RequestMirrorPolicy,
  RouteAction_RequestMirrorPolicySchema,
  type RouteAction_UpgradeConfig,
  RouteAction_UpgradeConfigSchema,
  RouteActionSchema,
  type RouteMatch,
  type RouteMatch_ConnectMatcher,
  RouteMatch_ConnectMatcherSchema,
  RouteMatchSchema,
  RouteSchema,
  type VirtualHost,
  VirtualHost_TlsRequirementType,
  VirtualHostSchema,
  type WeightedCluster,
  type WeightedCluster_ClusterWeight,
  WeightedCluster_ClusterWeightSchema,
  WeightedClusterSchema,
} from "#generated/proto/envoy/config/route/v3/route_components_pb.js";
export { type AccessLog, AccessLogSchema } from "#generated/proto/envoy/config/accesslog/v3/accesslog_pb.js";
export {
  type Permission,
  type Permission_Set,
  Permission_SetSchema,
  PermissionSchema,
  type Policy as RbacPolicy,
  PolicySchema as RbacPolicySchema,
  type Principal,
  type Principal_Authenticated,
  Principal_AuthenticatedSchema,
  type Principal_Set,
  Principal_SetSchema,
  PrincipalSchema,
  type RBAC,
  RBAC_Action,
  RBACSchema,
} from "#generated/proto/envoy/config/rbac/v3/rbac_pb.js";
export { type StringMatcher, StringMatcherSchema } from "#generated/proto/envoy/type/matcher/v3/string_pb.js";
export {
  type RegexMatchAndSubstitute,
  RegexMatchAndSubstituteSchema,
  type RegexMatcher,
  RegexMatcherSchema,
} from "#generated/proto/envoy/type/matcher/v3/regex_pb.js";
export { type MetadataMatcher, MetadataMatcherSchema } from "#generated/proto/envoy/type/matcher/v3/metadata_pb.js";
export { type MetadataKey, MetadataKeySchema, type MetadataKind, MetadataKindSchema } from "#generated/proto/envoy/type/metadata/v3/metadata_pb.js";
export { type CustomTag, CustomTagSchema } from "#generated/proto/envoy/type/tracing/v3/custom_tag_pb.js";
export {
  type FractionalPercent,
  FractionalPercent_DenominatorType,
  FractionalPercentSchema,
  type Percent,
  PercentSchema,
} from "#generated/proto/envoy/type/v3/percent_pb.js";
export { type Int32Range, Int32RangeSchema, type Int64Range, Int64RangeSchema } from "#generated/proto/envoy/type/v3/range_pb.js";
export { type FileAccessLog, FileAccessLogSchema } from "#generated/proto/envoy/extensions/access_loggers/file/v3/file_pb.js";
export { type FaultDelay, FaultDelaySchema } from "#generated/proto/envoy/extensions/filters/common/fault/v3/fault_pb.js";
export { type Cors, type CorsPolicy, CorsPolicySchema, CorsSchema } from "#generated/proto/envoy/extensions/filters/http/cors/v3/cors_pb.js";
export {
  type FaultAbort,
  FaultAbortSchema,
  type HTTPFault,
  HTTPFaultSchema,
} from "#generated/proto/envoy/extensions/filters/http/fault/v3/fault_pb.js";
export {
  type FilterConfig as GrpcStatsConfig,
  FilterConfigSchema as GrpcStatsConfigSchema,
} from "#generated/proto/envoy/extensions/filters/http/grpc_stats/v3/config_pb.js";
export {
  type RBAC as HttpRbac,
  type RBACPerRoute as HttpRbacPerRoute,
  RBACPerRouteSchema as HttpRbacPerRouteSchema,
  RBACSchema as HttpRbacSchema,
} from "#generated/proto/envoy/extensions/filters/http/rbac/v3/rbac_pb.js";
export { type Router, RouterSchema } from "#generated/proto/envoy/extensions/filters/http/router/v3/router_pb.js";
export { type OriginalDst, OriginalDstSchema } from "#generated/proto/envoy/extensions/filters/listener/original_dst/v3/original_dst_pb.js";
export { type TlsInspector, TlsInspectorSchema } from "#generated/proto/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.js";
export {
  type HttpConnectionManager,
  HttpConnectionManager_CodecType,
  HttpConnectionManager_ForwardClientCertDetails,
  HttpConnectionManager_PathWithEscapedSlashesAction,
  HttpConnectionManager_ServerHeaderTransformation,
  type HttpConnectionManager_SetCurrentClientCertDetails,
  HttpConnectionManager_SetCurrentClientCertDetailsSchema,
  type HttpConnectionManager_Tracing,
  HttpConnectionManager_TracingSchema,
  type HttpConnectionManager_UpgradeConfig,
  HttpConnectionManager_UpgradeConfigSchema,
  HttpConnectionManagerSchema,
  type HttpFilter,
  HttpFilterSchema,
  type Rds,
  RdsSchema,
} from "#generated/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js";
export { type RBAC as NetworkRbac, RBACSchema as NetworkRbacSchema } from "#generated/proto/envoy/extensions/filters/network/rbac/v3/rbac_pb.js";
export {
  type TcpProxy,
  type TcpProxy_TunnelingConfig,
  TcpProxy_TunnelingConfigSchema,
  type TcpProxy_WeightedCluster,
  TcpProxy_WeightedClusterSchema,
  TcpProxySchema,
} from "#generated/proto/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.js";
export {
  type PreviousHostsPredicate,
  PreviousHostsPredicateSchema,
} from "#generated/proto/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts_pb.js";
export {
  type InternalUpstreamTransport,
  type InternalUpstreamTransport_MetadataValueSource,
  InternalUpstreamTransport_MetadataValueSourceSchema,
  InternalUpstreamTransportSchema,
} from "#generated/proto/envoy/extensions/transport_sockets/internal_upstream/v3/internal_upstream_pb.js";
export { type RawBuffer, RawBufferSchema } from "#generated/proto/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.js";
export {
  type CommonTlsContext,
  type CommonTlsContext_CombinedCertificateValidationContext,
  CommonTlsContext_CombinedCertificateValidationContextSchema,
  CommonTlsContextSchema,
  type DownstreamTlsContext,
  DownstreamTlsContextSchema,
  type UpstreamTlsContext,
  UpstreamTlsContextSchema,
} from "#generated/proto/envoy/extensions/transport_sockets/tls/v3/tls_pb.js";
export {
  type CertificateValidationContext,
  CertificateValidationContextSchema,
  type SubjectAltNameMatcher,
  SubjectAltNameMatcher_SanType,
  SubjectAltNameMatcherSchema,
  type TlsCertificate,
  TlsCertificateSchema,
  type TlsParameters,
  TlsParameters_TlsProtocol,
  TlsParametersSchema,
} from "#generated/proto/envoy/extensions/transport_sockets/tls/v3/common_pb.js";
export {
  type SdsSecretConfig,
  SdsSecretConfigSchema,
  type Secret,
  SecretSchema,
} from "#generated/proto/envoy/extensions/transport_sockets/tls/v3/secret_pb.js";
export {
  type HttpProtocolOptions,
  type HttpProtocolOptions_ExplicitHttpConfig,
  HttpProtocolOptions_ExplicitHttpConfigSchema,
  HttpProtocolOptionsSchema,
} from "#generated/proto/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js";
export { envoyRegistry } from "./envoy-registry.ts";
