// Envoy's basic messages: addresses, headers, matchers, percentages and typed extensions.
export {
  type DataSource,
  type HeaderValue,
  type HeaderValueOption,
  HeaderValueOption_HeaderAppendAction,
  HeaderValueOptionSchema,
  type QueryParameter,
  type Metadata,
  MetadataSchema,
  type RuntimeFractionalPercent,
  TrafficDirection,
  type TransportSocket,
  TransportSocketSchema,
  type RuntimeFeatureFlag,
} from "#generated/proto/envoy/config/core/v3/base_pb.js";
export type { Address, CidrRange, TcpKeepalive } from "#generated/proto/envoy/config/core/v3/address_pb.js";
export {
  ApiConfigSource_ApiType,
  ApiVersion,
  ConfigSourceSchema,
  type ExtensionConfigSource,
  ExtensionConfigSourceSchema,
} from "#generated/proto/envoy/config/core/v3/config_source_pb.js";
export type { GrpcService } from "#generated/proto/envoy/config/core/v3/grpc_service_pb.js";
export {
  type TypedExtensionConfig,
  TypedExtensionConfigSchema,
} from "#generated/proto/envoy/config/core/v3/extension_pb.js";
export {
  type Http2ProtocolOptions,
  HttpProtocolOptions_HeadersWithUnderscoresAction,
} from "#generated/proto/envoy/config/core/v3/protocol_pb.js";
export { HealthStatus } from "#generated/proto/envoy/config/core/v3/health_check_pb.js";
export type { SubstitutionFormatString } from "#generated/proto/envoy/config/core/v3/substitution_format_string_pb.js";
export { type StringMatcher, StringMatcherSchema } from "#generated/proto/envoy/type/matcher/v3/string_pb.js";
export { type MetadataMatcher, MetadataMatcherSchema } from "#generated/proto/envoy/type/matcher/v3/metadata_pb.js";
export type { MetadataKey } from "#generated/proto/envoy/type/metadata/v3/metadata_pb.js";
export {
  type FractionalPercent,
  FractionalPercent_DenominatorType,
  PercentSchema,
} from "#generated/proto/envoy/type/v3/percent_pb.js";
export type { ValueMatcher, ListMatcher } from "#generated/proto/envoy/type/matcher/v3/value_pb.js";
export type { PathMatcher } from "#generated/proto/envoy/type/matcher/v3/path_pb.js";
export {
  ApplicationProtocolInputSchema,
  DestinationIPInputSchema,
  DestinationPortInputSchema,
  type FilterStateInput,
  FilterStateInputSchema,
} from "#generated/proto/envoy/extensions/matching/common_inputs/network/v3/network_inputs_pb.js";
export type { TokenBucket } from "#generated/proto/envoy/type/v3/token_bucket_pb.js";
export { TypedStructSchema } from "#generated/proto/udpa/type/v1/typed_struct_pb.js";
export { TypedStructSchema as XdsTypedStructSchema } from "#generated/proto/xds/type/v3/typed_struct_pb.js";
export type { CidrRange as XdsCidrRange } from "#generated/proto/xds/core/v3/cidr_pb.js";
export { type IPMatcher, IPMatcherSchema } from "#generated/proto/xds/type/matcher/v3/ip_pb.js";
export {
  type Matcher,
  type Matcher_MatcherList_Predicate,
  type Matcher_OnMatch,
  MatcherSchema,
} from "#generated/proto/xds/type/matcher/v3/matcher_pb.js";
export type { FilterStateMatcher } from "#generated/proto/envoy/type/matcher/v3/filter_state_pb.js";
export type { ListStringMatcher } from "#generated/proto/envoy/type/matcher/v3/string_pb.js";
export { type HttpStatus, StatusCode as HttpStatusCode } from "#generated/proto/envoy/type/v3/http_status_pb.js";
export type { Expr as ParsedExpression } from "#generated/proto/google/api/expr/v1alpha1/syntax_pb.js";
export {
  type UriTemplateMatchConfig,
  UriTemplateMatchConfigSchema,
} from "#generated/proto/envoy/extensions/path/match/uri_template/v3/uri_template_match_pb.js";
export { ProxyProtocolConfig_Version } from "#generated/proto/envoy/config/core/v3/proxy_protocol_pb.js";
