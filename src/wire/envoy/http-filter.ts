// Envoy's HTTP filters, with the services that they call.

export {
  type Permission,
  PermissionSchema,
  type Policy as RbacPolicy,
  type Principal,
  PrincipalSchema,
  type Principal_Authenticated,
  type RBAC,
  RBAC_Action,
  RBACSchema,
  PolicySchema as RbacPolicySchema,
} from "#generated/proto/envoy/config/rbac/v3/rbac_pb.js";
export {
  type FaultDelay,
  FaultDelaySchema,
} from "#generated/proto/envoy/extensions/filters/common/fault/v3/fault_pb.js";
export {
  type CorsPolicy,
  CorsPolicySchema,
  CorsSchema,
} from "#generated/proto/envoy/extensions/filters/http/cors/v3/cors_pb.js";
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
  AuthorizationRequestSchema,
  AuthorizationResponseSchema,
  type BufferSettings,
  BufferSettingsSchema,
  CheckSettingsSchema,
  type ExtAuthz,
  type ExtAuthzPerRoute,
  ExtAuthzPerRouteSchema,
  ExtAuthzSchema,
  type HttpService,
  HttpServiceSchema,
} from "#generated/proto/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.js";
export { GrpcWebSchema } from "#generated/proto/envoy/extensions/filters/http/grpc_web/v3/grpc_web_pb.js";
export {
  type JwtAuthentication,
  JwtAuthenticationSchema,
  type JwtClaimToHeader,
  JwtClaimToHeaderSchema,
  type PerRouteConfig as JwtPerRouteConfig,
  PerRouteConfigSchema as JwtPerRouteConfigSchema,
  type JwtProvider,
  JwtProviderSchema,
  type JwtRequirement,
  JwtRequirementSchema,
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
export type { HeaderMutation as HeaderMutationRule } from "#generated/proto/envoy/config/common/mutation_rules/v3/mutation_rules_pb.js";
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
  Compressor_RequestDirectionConfigSchema,
  Compressor_ResponseDirectionConfigSchema,
  CompressorOverridesSchema,
  type CompressorPerRoute,
  CompressorPerRouteSchema,
  CompressorSchema,
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
export { CookieSchema as HttpCookieSchema } from "#generated/proto/envoy/type/http/v3/cookie_pb.js";
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
export { PreserveCaseFormatterConfigSchema } from "#generated/proto/envoy/extensions/http/header_formatters/preserve_case/v3/preserve_case_pb.js";
export {
  FilterConfigSchema as AlpnFilterConfigSchema,
  FilterConfig_Protocol as AlpnUpstreamProtocol,
} from "#generated/proto/envoy/config/filter/http/alpn/v2alpha1/config_pb.js";
export {
  type CheckRequest,
  CheckRequestSchema,
  type CheckResponse,
  CheckResponseSchema,
  type OkHttpResponse,
} from "#generated/proto/envoy/service/auth/v3/external_auth_pb.js";
export {
  type RateLimit as HttpRateLimit,
  RateLimitSchema as HttpRateLimitSchema,
  type RateLimitPerRoute as HttpRateLimitPerRoute,
  RateLimitPerRouteSchema as HttpRateLimitPerRouteSchema,
} from "#generated/proto/envoy/extensions/filters/http/ratelimit/v3/rate_limit_pb.js";
export {
  RateLimitRequestSchema,
  RateLimitResponse_Code,
  type RateLimitResponse_DescriptorStatus,
  RateLimitResponse_RateLimit_Unit,
  RateLimitResponseSchema,
} from "#generated/proto/envoy/service/ratelimit/v3/rls_pb.js";
export {
  type LocalRateLimitDescriptor,
  LocalRateLimitDescriptorSchema,
  VhRateLimitsOptions,
} from "#generated/proto/envoy/extensions/common/ratelimit/v3/ratelimit_pb.js";
export {
  type Descriptor as ExpressionDescriptor,
  DescriptorSchema as ExpressionDescriptorSchema,
} from "#generated/proto/envoy/extensions/rate_limit_descriptors/expr/v3/expr_pb.js";
export { FilterConfigSchema as DynamicForwardProxyFilterSchema } from "#generated/proto/envoy/extensions/filters/http/dynamic_forward_proxy/v3/dynamic_forward_proxy_pb.js";
