// Envoy's HTTP filters, with the services that they call.

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
  type PreserveCaseFormatterConfig,
  PreserveCaseFormatterConfigSchema,
} from "#generated/proto/envoy/extensions/http/header_formatters/preserve_case/v3/preserve_case_pb.js";
export {
  type FilterConfig as AlpnFilterConfig,
  FilterConfigSchema as AlpnFilterConfigSchema,
  type FilterConfig_AlpnOverride as AlpnOverride,
  FilterConfig_Protocol as AlpnUpstreamProtocol,
} from "#generated/proto/envoy/config/filter/http/alpn/v2alpha1/config_pb.js";
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
export {
  type FilterConfig as DynamicForwardProxyFilter,
  FilterConfigSchema as DynamicForwardProxyFilterSchema,
  type PerRouteConfig as DynamicForwardProxyPerRoute,
} from "#generated/proto/envoy/extensions/filters/http/dynamic_forward_proxy/v3/dynamic_forward_proxy_pb.js";
