/**
 * The part of Envoy's API v3 that Serin reads and writes. It costs more to load than the other parts of wire, so
 * ztunnel does not import it.
 */
export {
  type DataSource,
  type RetryPolicy as CoreRetryPolicy,
  type HeaderValue,
  type HeaderValueOption,
  HeaderValueOption_HeaderAppendAction,
  HeaderValueOptionSchema,
  type KeyValueMutation,
  type Locality,
  type Metadata,
  MetadataSchema,
  type Node,
  type RuntimeFractionalPercent,
  TrafficDirection,
  type TransportSocket,
  TransportSocketSchema,
  type RuntimeDouble,
  type RuntimeUInt32,
  type RuntimeFeatureFlag,
} from "#generated/proto/envoy/config/core/v3/base_pb.js";
export type {
  Address,
  CidrRange,
  EnvoyInternalAddress,
  SocketAddress,
  Pipe,
  BindConfig,
  TcpKeepalive,
} from "#generated/proto/envoy/config/core/v3/address_pb.js";
export {
  type AggregatedConfigSource,
  type ApiConfigSource,
  ApiConfigSource_ApiType,
  ApiVersion,
  type ConfigSource,
  ConfigSourceSchema,
  type SelfConfigSource,
  type PathConfigSource,
  type ExtensionConfigSource,
  ExtensionConfigSourceSchema,
} from "#generated/proto/envoy/config/core/v3/config_source_pb.js";
export type { GrpcService, GrpcService_EnvoyGrpc } from "#generated/proto/envoy/config/core/v3/grpc_service_pb.js";
export {
  type TypedExtensionConfig,
  TypedExtensionConfigSchema,
} from "#generated/proto/envoy/config/core/v3/extension_pb.js";
export type {
  Http1ProtocolOptions,
  Http2ProtocolOptions,
  HttpProtocolOptions as CommonHttpProtocolOptions,
  KeepaliveSettings,
  Http1ProtocolOptions_HeaderKeyFormat,
  Http1ProtocolOptions_HeaderKeyFormat_ProperCaseWords,
  UpstreamHttpProtocolOptions,
  TcpProtocolOptions,
  Http3ProtocolOptions,
} from "#generated/proto/envoy/config/core/v3/protocol_pb.js";
export {
  HealthStatus,
  type HealthCheck,
  type HealthStatusSet,
} from "#generated/proto/envoy/config/core/v3/health_check_pb.js";
export type {
  SubstitutionFormatString,
  JsonFormatOptions,
} from "#generated/proto/envoy/config/core/v3/substitution_format_string_pb.js";
export {
  type Cluster,
  type Cluster_CommonLbConfig,
  Cluster_ClusterProtocolSelection,
  Cluster_DiscoveryType,
  type Cluster_EdsClusterConfig,
  Cluster_LbPolicy,
  type Cluster_OriginalDstLbConfig,
  type Cluster_TransportSocketMatch,
  Cluster_TransportSocketMatchSchema,
  Cluster_DnsLookupFamily,
  ClusterSchema,
  type Cluster_CommonLbConfig_ZoneAwareLbConfig,
  type Cluster_CommonLbConfig_LocalityWeightedLbConfig,
  type Cluster_LeastRequestLbConfig,
  Cluster_LeastRequestLbConfigSchema,
  type Cluster_RoundRobinLbConfig,
  type Cluster_SlowStartConfig,
  type Cluster_PreconnectPolicy,
  type Cluster_CommonLbConfig_ConsistentHashingLbConfig,
  Cluster_CommonLbConfigSchema,
  type Cluster_RingHashLbConfig,
  Cluster_RingHashLbConfig_HashFunction,
  Cluster_RingHashLbConfigSchema,
  type Cluster_MaglevLbConfig,
  type Cluster_CustomClusterType,
  type LoadBalancingPolicy,
  type Cluster_LbSubsetConfig,
  type UpstreamConnectionOptions,
  UpstreamConnectionOptionsSchema,
} from "#generated/proto/envoy/config/cluster/v3/cluster_pb.js";
export {
  type CircuitBreakers,
  type CircuitBreakers_Thresholds,
  CircuitBreakers_ThresholdsSchema,
  type CircuitBreakers_Thresholds_RetryBudget,
  CircuitBreakersSchema,
} from "#generated/proto/envoy/config/cluster/v3/circuit_breaker_pb.js";
export {
  type OutlierDetection,
  OutlierDetectionSchema,
} from "#generated/proto/envoy/config/cluster/v3/outlier_detection_pb.js";
export {
  type ClusterLoadAssignment,
  ClusterLoadAssignmentSchema,
  type ClusterLoadAssignment_Policy,
} from "#generated/proto/envoy/config/endpoint/v3/endpoint_pb.js";
export {
  type Endpoint,
  type LbEndpoint,
  LbEndpointSchema,
  type LocalityLbEndpoints,
  LocalityLbEndpointsSchema,
  type LocalityLbEndpoints_LbEndpointList,
  type LedsClusterLocalityConfig,
} from "#generated/proto/envoy/config/endpoint/v3/endpoint_components_pb.js";
export {
  type Listener,
  type Listener_InternalListenerConfig,
  type Listener_ConnectionBalanceConfig,
  type Listener_ConnectionBalanceConfig_ExactBalance,
  ListenerSchema,
  type AdditionalAddress,
} from "#generated/proto/envoy/config/listener/v3/listener_pb.js";
export {
  type Filter,
  type FilterChain,
  type FilterChainMatch,
  FilterChainMatch_ConnectionSourceType,
  FilterChainMatchSchema,
  FilterChainSchema,
  type ListenerFilter,
  type ListenerFilterChainMatchPredicate,
  type ListenerFilterChainMatchPredicate_MatchSet,
} from "#generated/proto/envoy/config/listener/v3/listener_components_pb.js";
export {
  type RouteConfiguration,
  RouteConfigurationSchema,
  type Vhds,
} from "#generated/proto/envoy/config/route/v3/route_pb.js";
export {
  type Decorator,
  type DirectResponseAction,
  type HeaderMatcher,
  HeaderMatcherSchema,
  type NonForwardingAction,
  type QueryParameterMatcher,
  QueryParameterMatcherSchema,
  type RedirectAction,
  RedirectAction_RedirectResponseCode,
  RedirectActionSchema,
  type RetryPolicy,
  type RetryPolicy_RetryHostPredicate,
  RetryPolicySchema,
  type Route,
  type RouteAction,
  RouteAction_ClusterNotFoundResponseCode,
  type RouteAction_HashPolicy,
  RouteAction_HashPolicySchema,
  type RouteAction_HashPolicy_CookieAttribute,
  type RouteAction_HashPolicy_FilterState,
  type RouteAction_MaxStreamDuration,
  type RouteAction_RequestMirrorPolicy,
  RouteAction_RequestMirrorPolicySchema,
  type RouteAction_UpgradeConfig,
  RouteActionSchema,
  type RouteMatch,
  type RouteMatch_ConnectMatcher,
  RouteMatchSchema,
  RouteSchema,
  type VirtualHost,
  VirtualHost_TlsRequirementType,
  VirtualHostSchema,
  type WeightedCluster,
  type WeightedCluster_ClusterWeight,
  WeightedCluster_ClusterWeightSchema,
  WeightedClusterSchema,
  type RetryPolicy_RetryBackOff,
  type RetryPolicy_RetryPriority,
  type RetryPolicy_RateLimitedRetryBackOff,
  type RouteAction_UpgradeConfig_ConnectConfig,
  type RouteMatch_GrpcRouteMatchOptions,
  type RouteMatch_TlsContextMatchOptions,
  type InternalRedirectPolicy,
  type HedgePolicy,
  type RateLimit,
  type RateLimit_Action,
  RateLimit_Action_MetaData_Source,
  type RateLimit_Action_DestinationCluster,
  type RateLimit_Action_DynamicMetaData,
  type RateLimit_Action_GenericKey,
  type RateLimit_Action_HeaderValueMatch,
  type RateLimit_Action_MaskedRemoteAddress,
  type RateLimit_Action_MetaData,
  type RateLimit_Action_QueryParameters,
  type RateLimit_Action_QueryParameterValueMatch,
  type RateLimit_Action_RemoteAddress,
  type RateLimit_Action_RemoteAddressMatch,
  type RateLimit_Action_RequestHeaders,
  type RateLimit_Action_SourceCluster,
  type RateLimit_HitsAddend,
  type RateLimit_Override,
  type RateLimit_Override_DynamicMetadata,
  type RateLimit_Override_RateLimitOverride,
  RateLimitSchema,
  type FilterAction,
  type ClusterSpecifierPlugin,
  type RouteAction_HashPolicy_Header,
  type RouteAction_HashPolicy_Cookie,
  type RouteAction_HashPolicy_ConnectionProperties,
  type RouteAction_HashPolicy_QueryParameter,
  type CookieMatcher,
  type FilterConfig as RouteFilterConfig,
} from "#generated/proto/envoy/config/route/v3/route_components_pb.js";
export {
  type AccessLog,
  type AccessLogFilter,
  AccessLogSchema,
} from "#generated/proto/envoy/config/accesslog/v3/accesslog_pb.js";
export {
  type Permission,
  PermissionSchema,
  type Permission_Set,
  type Policy as RbacPolicy,
  type Principal,
  PrincipalSchema,
  type Principal_Authenticated,
  type Principal_Set,
  type RBAC,
  RBAC_Action,
  RBACSchema,
  PolicySchema as RbacPolicySchema,
  type SourcedMetadata,
} from "#generated/proto/envoy/config/rbac/v3/rbac_pb.js";
export { type StringMatcher, StringMatcherSchema } from "#generated/proto/envoy/type/matcher/v3/string_pb.js";
export type {
  RegexMatchAndSubstitute,
  RegexMatcher,
  RegexMatcher_GoogleRE2,
} from "#generated/proto/envoy/type/matcher/v3/regex_pb.js";
export {
  type MetadataMatcher,
  type MetadataMatcher_PathSegment,
  MetadataMatcherSchema,
} from "#generated/proto/envoy/type/matcher/v3/metadata_pb.js";
export type {
  MetadataKey,
  MetadataKind,
  MetadataKey_PathSegment,
  MetadataKind_Request,
  MetadataKind_Route,
  MetadataKind_Cluster,
  MetadataKind_Host,
} from "#generated/proto/envoy/type/metadata/v3/metadata_pb.js";
export type {
  CustomTag,
  CustomTag_Literal,
  CustomTag_Header,
  CustomTag_Environment,
  CustomTag_Metadata,
} from "#generated/proto/envoy/type/tracing/v3/custom_tag_pb.js";
export {
  type FractionalPercent,
  FractionalPercent_DenominatorType,
  type Percent,
  PercentSchema,
} from "#generated/proto/envoy/type/v3/percent_pb.js";
export type { Int32Range, Int64Range } from "#generated/proto/envoy/type/v3/range_pb.js";
export {
  type FileAccessLog,
  FileAccessLogSchema,
} from "#generated/proto/envoy/extensions/access_loggers/file/v3/file_pb.js";
export {
  type FaultDelay,
  type FaultDelay_HeaderDelay,
  FaultDelaySchema,
  type FaultRateLimit,
} from "#generated/proto/envoy/extensions/filters/common/fault/v3/fault_pb.js";
export {
  type Cors,
  type CorsPolicy,
  CorsPolicySchema,
  CorsSchema,
} from "#generated/proto/envoy/extensions/filters/http/cors/v3/cors_pb.js";
export {
  type FaultAbort,
  FaultAbortSchema,
  type HTTPFault,
  HTTPFaultSchema,
  type FaultAbort_HeaderAbort,
} from "#generated/proto/envoy/extensions/filters/http/fault/v3/fault_pb.js";
export {
  type FilterConfig as GrpcStatsConfig,
  FilterConfigSchema as GrpcStatsConfigSchema,
} from "#generated/proto/envoy/extensions/filters/http/grpc_stats/v3/config_pb.js";
export {
  type RBAC as HttpRbac,
  RBACSchema as HttpRbacSchema,
  type RBACPerRoute as HttpRbacPerRoute,
  RBACPerRouteSchema as HttpRbacPerRouteSchema,
} from "#generated/proto/envoy/extensions/filters/http/rbac/v3/rbac_pb.js";
export { type Router, RouterSchema } from "#generated/proto/envoy/extensions/filters/http/router/v3/router_pb.js";
export {
  type OriginalDst,
  OriginalDstSchema,
} from "#generated/proto/envoy/extensions/filters/listener/original_dst/v3/original_dst_pb.js";
export {
  type OriginalSrc,
  OriginalSrcSchema,
} from "#generated/proto/envoy/extensions/filters/listener/original_src/v3/original_src_pb.js";
export {
  type TlsInspector,
  TlsInspectorSchema,
} from "#generated/proto/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.js";
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
  HttpConnectionManagerSchema,
  type HttpFilter,
  type Rds,
  type HttpConnectionManager_PathNormalizationOptions,
  type HttpConnectionManager_HcmAccessLogOptions,
  type LocalReplyConfig,
  LocalReplyConfigSchema,
  ResponseMapperSchema,
  type RequestIDExtension,
  type ScopedRoutes,
  type HttpConnectionManager_InternalAddressConfig,
  type ResponseMapper,
} from "#generated/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js";
export {
  type RBAC as NetworkRbac,
  RBAC_EnforcementType as NetworkRbac_EnforcementType,
  RBACSchema as NetworkRbacSchema,
} from "#generated/proto/envoy/extensions/filters/network/rbac/v3/rbac_pb.js";
export {
  type TcpProxy,
  type TcpProxy_TunnelingConfig,
  type TcpProxy_WeightedCluster,
  TcpProxySchema,
  type TcpProxy_WeightedCluster_ClusterWeight,
} from "#generated/proto/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.js";
export {
  type PreviousHostsPredicate,
  PreviousHostsPredicateSchema,
} from "#generated/proto/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts_pb.js";
export {
  type CommonGrpcAccessLogConfig,
  CommonGrpcAccessLogConfigSchema,
  type HttpGrpcAccessLogConfig,
  HttpGrpcAccessLogConfigSchema,
  type TcpGrpcAccessLogConfig,
  TcpGrpcAccessLogConfigSchema,
} from "#generated/proto/envoy/extensions/access_loggers/grpc/v3/als_pb.js";
export { PreviousPrioritiesConfigSchema } from "#generated/proto/envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config_pb.js";
export {
  type InternalUpstreamTransport,
  type InternalUpstreamTransport_MetadataValueSource,
  InternalUpstreamTransportSchema,
} from "#generated/proto/envoy/extensions/transport_sockets/internal_upstream/v3/internal_upstream_pb.js";
export {
  type RawBuffer,
  RawBufferSchema,
} from "#generated/proto/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.js";
export {
  type CommonTlsContext,
  CommonTlsContextSchema,
  type CommonTlsContext_CombinedCertificateValidationContext,
  type DownstreamTlsContext,
  DownstreamTlsContextSchema,
  type UpstreamTlsContext,
  UpstreamTlsContextSchema,
  type CommonTlsContext_CertificateProvider,
  type CommonTlsContext_CertificateProviderInstance,
} from "#generated/proto/envoy/extensions/transport_sockets/tls/v3/tls_pb.js";
export {
  type CertificateValidationContext,
  CertificateValidationContext_TrustChainVerification,
  CertificateValidationContextSchema,
  type SubjectAltNameMatcher,
  type SubjectAltNameMatcherSchema,
  SubjectAltNameMatcher_SanType,
  type TlsCertificate,
  type TlsParameters,
  TlsParameters_CompliancePolicy,
  TlsParameters_TlsProtocol,
  type TlsParametersSchema,
  type CertificateValidationContext_SystemRootCerts,
  type TlsSessionTicketKeys,
  type CertificateProviderPluginInstance,
} from "#generated/proto/envoy/extensions/transport_sockets/tls/v3/common_pb.js";
export {
  type SdsSecretConfig,
  type Secret,
  SecretSchema,
} from "#generated/proto/envoy/extensions/transport_sockets/tls/v3/secret_pb.js";
export {
  type HttpProtocolOptions,
  type HttpProtocolOptions_ExplicitHttpConfig,
  HttpProtocolOptionsSchema,
  type HttpProtocolOptions_UseDownstreamHttpConfig,
  type HttpProtocolOptions_AutoHttpConfig,
} from "#generated/proto/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js";
export type { Filter as ClusterFilter } from "#generated/proto/envoy/config/cluster/v3/filter_pb.js";
export type {
  ValueMatcher,
  ValueMatcher_NullMatch,
  ListMatcher,
  OrMatcher,
} from "#generated/proto/envoy/type/matcher/v3/value_pb.js";
export type { PathMatcher } from "#generated/proto/envoy/type/matcher/v3/path_pb.js";
export type { SocketOption } from "#generated/proto/envoy/config/core/v3/socket_option_pb.js";
export type {
  StderrAccessLog,
  StdoutAccessLog,
} from "#generated/proto/envoy/extensions/access_loggers/stream/v3/stream_pb.js";
export {
  type FilterStateValue,
  FilterStateValue_SharedWithUpstream,
} from "#generated/proto/envoy/extensions/filters/common/set_filter_state/v3/value_pb.js";
export {
  type AuthorizationRequest,
  AuthorizationRequestSchema,
  type AuthorizationResponse,
  AuthorizationResponseSchema,
  type BufferSettings,
  BufferSettingsSchema,
  type CheckSettings,
  CheckSettingsSchema,
  type ExtAuthz,
  type ExtAuthzPerRoute,
  ExtAuthzPerRouteSchema,
  ExtAuthzSchema,
  type HttpService,
  HttpServiceSchema,
} from "#generated/proto/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.js";
export { type GrpcWeb, GrpcWebSchema } from "#generated/proto/envoy/extensions/filters/http/grpc_web/v3/grpc_web_pb.js";
export {
  type JwksAsyncFetch,
  type JwtAuthentication,
  JwtAuthenticationSchema,
  type JwtCacheConfig,
  type JwtClaimToHeader,
  JwtClaimToHeaderSchema,
  type JwtHeader,
  type PerRouteConfig as JwtPerRouteConfig,
  PerRouteConfigSchema as JwtPerRouteConfigSchema,
  type JwtProvider,
  type JwtProvider_NormalizePayload,
  JwtProviderSchema,
  type JwtRequirement,
  type JwtRequirementAndList,
  type JwtRequirementOrList,
  JwtRequirementSchema,
  type ProviderWithAudiences,
  type RemoteJwks,
  RemoteJwksSchema,
  type RequirementRule,
  RequirementRuleSchema,
} from "#generated/proto/envoy/extensions/filters/http/jwt_authn/v3/config_pb.js";
export {
  type HeaderMutation as HttpHeaderMutation,
  HeaderMutationSchema as HttpHeaderMutationSchema,
  type HeaderMutationPerRoute,
  HeaderMutationPerRouteSchema,
  type Mutations as HeaderMutations,
  MutationsSchema as HeaderMutationsSchema,
} from "#generated/proto/envoy/extensions/filters/http/header_mutation/v3/header_mutation_pb.js";
export type {
  HeaderMutation as HeaderMutationRule,
  HeaderMutation_RemoveOnMatch,
} from "#generated/proto/envoy/config/common/mutation_rules/v3/mutation_rules_pb.js";
export {
  type Brotli,
  Brotli_EncoderMode,
  BrotliSchema,
} from "#generated/proto/envoy/extensions/compression/brotli/compressor/v3/brotli_pb.js";
export {
  type Brotli as BrotliDecompressor,
  BrotliSchema as BrotliDecompressorSchema,
} from "#generated/proto/envoy/extensions/compression/brotli/decompressor/v3/brotli_pb.js";
export {
  type Gzip as GzipDecompressor,
  GzipSchema as GzipDecompressorSchema,
} from "#generated/proto/envoy/extensions/compression/gzip/decompressor/v3/gzip_pb.js";
export {
  type Zstd as ZstdDecompressor,
  ZstdSchema as ZstdDecompressorSchema,
} from "#generated/proto/envoy/extensions/compression/zstd/decompressor/v3/zstd_pb.js";
export {
  type Decompressor,
  type Decompressor_CommonDirectionConfig,
  Decompressor_CommonDirectionConfigSchema,
  Decompressor_RequestDirectionConfigSchema,
  Decompressor_ResponseDirectionConfigSchema,
  DecompressorSchema,
} from "#generated/proto/envoy/extensions/filters/http/decompressor/v3/decompressor_pb.js";
export {
  type Gzip,
  Gzip_CompressionLevel,
  type Gzip_CompressionStrategy,
  GzipSchema,
} from "#generated/proto/envoy/extensions/compression/gzip/compressor/v3/gzip_pb.js";
export {
  type Zstd,
  Zstd_Strategy,
  ZstdSchema,
} from "#generated/proto/envoy/extensions/compression/zstd/compressor/v3/zstd_pb.js";
export {
  type Compressor,
  type Compressor_CommonDirectionConfig,
  Compressor_CommonDirectionConfigSchema,
  type Compressor_RequestDirectionConfig,
  Compressor_RequestDirectionConfigSchema,
  type Compressor_ResponseDirectionConfig,
  Compressor_ResponseDirectionConfigSchema,
  type CompressorOverrides,
  CompressorOverridesSchema,
  type CompressorPerRoute,
  CompressorPerRouteSchema,
  CompressorSchema,
  type ResponseDirectionOverrides,
  ResponseDirectionOverridesSchema,
} from "#generated/proto/envoy/extensions/filters/http/compressor/v3/compressor_pb.js";
export {
  type Buffer as HttpBuffer,
  BufferSchema as HttpBufferSchema,
  type BufferPerRoute,
  BufferPerRouteSchema,
} from "#generated/proto/envoy/extensions/filters/http/buffer/v3/buffer_pb.js";
export {
  type StatefulSession,
  StatefulSessionSchema,
  type StatefulSessionPerRoute,
  StatefulSessionPerRouteSchema,
} from "#generated/proto/envoy/extensions/filters/http/stateful_session/v3/stateful_session_pb.js";
export {
  type CookieBasedSessionState,
  CookieBasedSessionStateSchema,
} from "#generated/proto/envoy/extensions/http/stateful_session/cookie/v3/cookie_pb.js";
export {
  type HeaderBasedSessionState,
  HeaderBasedSessionStateSchema,
} from "#generated/proto/envoy/extensions/http/stateful_session/header/v3/header_pb.js";
export {
  type Cookie as HttpCookie,
  type CookieAttribute as HttpCookieAttribute,
  CookieSchema as HttpCookieSchema,
} from "#generated/proto/envoy/type/http/v3/cookie_pb.js";
export { type CsrfPolicy, CsrfPolicySchema } from "#generated/proto/envoy/extensions/filters/http/csrf/v3/csrf_pb.js";
export {
  type HealthCheck as HttpHealthCheck,
  HealthCheckSchema as HttpHealthCheckSchema,
} from "#generated/proto/envoy/extensions/filters/http/health_check/v3/health_check_pb.js";
export {
  type LocalRateLimit,
  LocalRateLimitSchema,
} from "#generated/proto/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.js";
export {
  type Lua,
  LuaSchema,
  type LuaPerRoute,
  LuaPerRouteSchema,
} from "#generated/proto/envoy/extensions/filters/http/lua/v3/lua_pb.js";
export {
  type Config as HttpSetFilterState,
  ConfigSchema as HttpSetFilterStateSchema,
} from "#generated/proto/envoy/extensions/filters/http/set_filter_state/v3/set_filter_state_pb.js";
export {
  type HttpInspector,
  HttpInspectorSchema,
} from "#generated/proto/envoy/extensions/filters/listener/http_inspector/v3/http_inspector_pb.js";
export {
  type ProxyProtocol,
  ProxyProtocolSchema,
} from "#generated/proto/envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol_pb.js";
export {
  type ConnectionLimit,
  ConnectionLimitSchema,
} from "#generated/proto/envoy/extensions/filters/network/connection_limit/v3/connection_limit_pb.js";
export {
  type Config as NetworkSetFilterState,
  ConfigSchema as NetworkSetFilterStateSchema,
} from "#generated/proto/envoy/extensions/filters/network/set_filter_state/v3/set_filter_state_pb.js";
export type { SniCluster } from "#generated/proto/envoy/extensions/filters/network/sni_cluster/v3/sni_cluster_pb.js";
export {
  type ApplicationProtocolInput,
  ApplicationProtocolInputSchema,
  type DestinationIPInput,
  DestinationIPInputSchema,
  type DestinationPortInput,
  DestinationPortInputSchema,
  type DirectSourceIPInput,
  type FilterStateInput,
  FilterStateInputSchema,
  type ServerNameInput,
  type SourceIPInput,
  type SourcePortInput,
  type SourceTypeInput,
  type TransportProtocolInput,
} from "#generated/proto/envoy/extensions/matching/common_inputs/network/v3/network_inputs_pb.js";
export {
  type CaresDnsResolverConfig,
  CaresDnsResolverConfigSchema,
} from "#generated/proto/envoy/extensions/network/dns_resolver/cares/v3/cares_dns_resolver_pb.js";
export {
  type PreserveCaseFormatterConfig,
  PreserveCaseFormatterConfigSchema,
} from "#generated/proto/envoy/extensions/http/header_formatters/preserve_case/v3/preserve_case_pb.js";
export {
  type UuidRequestIdConfig,
  UuidRequestIdConfigSchema,
} from "#generated/proto/envoy/extensions/request_id/uuid/v3/uuid_pb.js";
export type { TokenBucket } from "#generated/proto/envoy/type/v3/token_bucket_pb.js";
export type { HttpUri } from "#generated/proto/envoy/config/core/v3/http_uri_pb.js";
export {
  type MetricConfig as IstioMetricConfig,
  type MetricConfigSchema as IstioMetricConfigSchema,
  type MetricDefinition as IstioMetricDefinition,
  type PluginConfig as IstioStatsConfig,
  PluginConfigSchema as IstioStatsConfigSchema,
  Reporter as IstioStatsReporter,
} from "#generated/proto/envoy/extensions/stats/config_pb.js";
export {
  type FilterConfig as AlpnFilterConfig,
  FilterConfigSchema as AlpnFilterConfigSchema,
  type FilterConfig_AlpnOverride as AlpnOverride,
  FilterConfig_Protocol as AlpnUpstreamProtocol,
} from "#generated/proto/envoy/config/filter/http/alpn/v2alpha1/config_pb.js";
export { type TypedStruct, TypedStructSchema } from "#generated/proto/udpa/type/v1/typed_struct_pb.js";
export { TypedStructSchema as XdsTypedStructSchema } from "#generated/proto/xds/type/v3/typed_struct_pb.js";
export type { CidrRange as XdsCidrRange } from "#generated/proto/xds/core/v3/cidr_pb.js";
export type { TypedExtensionConfig as XdsTypedExtensionConfig } from "#generated/proto/xds/core/v3/extension_pb.js";
export {
  type IPMatcher,
  type IPMatcher_IPRangeMatcher,
  IPMatcherSchema,
} from "#generated/proto/xds/type/matcher/v3/ip_pb.js";
export type { StringMatcher as XdsStringMatcher } from "#generated/proto/xds/type/matcher/v3/string_pb.js";
export {
  type Matcher,
  type Matcher_MatcherList,
  type Matcher_MatcherList_FieldMatcher,
  type Matcher_MatcherList_Predicate,
  type Matcher_MatcherList_Predicate_PredicateList,
  type Matcher_MatcherList_Predicate_SinglePredicate,
  type Matcher_MatcherTree,
  type Matcher_MatcherTree_MatchMap,
  type Matcher_OnMatch,
  MatcherSchema,
} from "#generated/proto/xds/type/matcher/v3/matcher_pb.js";
export type { FilterStateMatcher } from "#generated/proto/envoy/type/matcher/v3/filter_state_pb.js";
export type { ListStringMatcher } from "#generated/proto/envoy/type/matcher/v3/string_pb.js";
export type { AddressMatcher } from "#generated/proto/envoy/type/matcher/v3/address_pb.js";
export {
  type AndFilter,
  type ComparisonFilter,
  ComparisonFilter_Op,
  type DurationFilter,
  type ExtensionFilter,
  type HeaderFilter,
  type NotHealthCheckFilter,
  type OrFilter,
  type ResponseFlagFilter,
  type StatusCodeFilter,
} from "#generated/proto/envoy/config/accesslog/v3/accesslog_pb.js";
export {
  type CheckRequest,
  CheckRequestSchema,
  type CheckResponse,
  CheckResponseSchema,
  type DeniedHttpResponse,
  type OkHttpResponse,
} from "#generated/proto/envoy/service/auth/v3/external_auth_pb.js";
export type {
  AttributeContext,
  AttributeContext_HttpRequest,
  AttributeContext_Peer,
  AttributeContext_Request,
  AttributeContext_TLSSession,
} from "#generated/proto/envoy/service/auth/v3/attribute_context_pb.js";
export { type HttpStatus, StatusCode as HttpStatusCode } from "#generated/proto/envoy/type/v3/http_status_pb.js";
export type { RateLimitServiceConfig } from "#generated/proto/envoy/config/ratelimit/v3/rls_pb.js";
export {
  type RateLimit as HttpRateLimit,
  RateLimitSchema as HttpRateLimitSchema,
  type RateLimitPerRoute as HttpRateLimitPerRoute,
  RateLimitPerRouteSchema as HttpRateLimitPerRouteSchema,
} from "#generated/proto/envoy/extensions/filters/http/ratelimit/v3/rate_limit_pb.js";
export {
  RateLimitRequestSchema,
  type RateLimitResponse,
  RateLimitResponse_Code,
  type RateLimitResponse_DescriptorStatus,
  type RateLimitResponse_RateLimit,
  RateLimitResponse_RateLimit_Unit,
  RateLimitResponseSchema,
} from "#generated/proto/envoy/service/ratelimit/v3/rls_pb.js";
export type { RateLimitUnit } from "#generated/proto/envoy/type/v3/ratelimit_unit_pb.js";
export {
  type RateLimitDescriptor,
  type RateLimitDescriptor_RateLimitOverride,
  type LocalRateLimitDescriptor,
  LocalRateLimitDescriptorSchema,
  type RateLimitDescriptor_Entry,
  VhRateLimitsOptions,
} from "#generated/proto/envoy/extensions/common/ratelimit/v3/ratelimit_pb.js";
export {
  type Descriptor as ExpressionDescriptor,
  DescriptorSchema as ExpressionDescriptorSchema,
} from "#generated/proto/envoy/extensions/rate_limit_descriptors/expr/v3/expr_pb.js";
export type {
  Constant as ParsedConstant,
  Expr as ParsedExpression,
  Expr_Call as ParsedCall,
  Expr_Comprehension as ParsedComprehension,
  Expr_CreateList as ParsedList,
  Expr_CreateStruct as ParsedStruct,
  Expr_CreateStruct_Entry as ParsedStructEntry,
  Expr_Ident as ParsedName,
  Expr_Select as ParsedSelection,
} from "#generated/proto/google/api/expr/v1alpha1/syntax_pb.js";
export {
  type UriTemplateMatchConfig,
  UriTemplateMatchConfigSchema,
} from "#generated/proto/envoy/extensions/path/match/uri_template/v3/uri_template_match_pb.js";
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
export type {
  HashPolicy as TcpHashPolicy,
  HashPolicy_SourceIp as TcpHashPolicy_SourceIp,
} from "#generated/proto/envoy/type/v3/hash_policy_pb.js";
export { envoyRegistry } from "./envoy-registry.ts";
export {
  type ExtAuthz as NetworkExtAuthz,
  ExtAuthzSchema as NetworkExtAuthzSchema,
} from "#generated/proto/envoy/extensions/filters/network/ext_authz/v3/ext_authz_pb.js";
export {
  type ClusterConfig as DynamicForwardProxyCluster,
  ClusterConfigSchema as DynamicForwardProxyClusterSchema,
} from "#generated/proto/envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster_pb.js";
export {
  type DnsCacheConfig,
  DnsCacheConfigSchema,
} from "#generated/proto/envoy/extensions/common/dynamic_forward_proxy/v3/dns_cache_pb.js";
export {
  type FilterConfig as DynamicForwardProxyFilter,
  FilterConfigSchema as DynamicForwardProxyFilterSchema,
  type PerRouteConfig as DynamicForwardProxyPerRoute,
} from "#generated/proto/envoy/extensions/filters/http/dynamic_forward_proxy/v3/dynamic_forward_proxy_pb.js";
export {
  type FilterConfig as SniDynamicForwardProxy,
  FilterConfigSchema as SniDynamicForwardProxySchema,
} from "#generated/proto/envoy/extensions/filters/network/sni_dynamic_forward_proxy/v3/sni_dynamic_forward_proxy_pb.js";
export {
  type ProxyProtocolUpstreamTransport,
  ProxyProtocolUpstreamTransportSchema,
} from "#generated/proto/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol_pb.js";
export {
  type ProxyProtocolConfig,
  ProxyProtocolConfig_Version,
} from "#generated/proto/envoy/config/core/v3/proxy_protocol_pb.js";
