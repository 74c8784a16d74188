// Envoy's basic messages: addresses, headers, matchers, percentages and typed extensions.
export {
  type DataSource,
  type RetryPolicy as CoreRetryPolicy,
  type HeaderValue,
  type HeaderValueOption,
  HeaderValueOption_HeaderAppendAction,
  HeaderValueOptionSchema,
  type QueryParameter,
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
export {
  type FractionalPercent,
  FractionalPercent_DenominatorType,
  type Percent,
  PercentSchema,
} from "#generated/proto/envoy/type/v3/percent_pb.js";
export type { Int32Range, Int64Range } from "#generated/proto/envoy/type/v3/range_pb.js";
export type {
  ValueMatcher,
  ValueMatcher_NullMatch,
  ListMatcher,
  OrMatcher,
} from "#generated/proto/envoy/type/matcher/v3/value_pb.js";
export type { PathMatcher } from "#generated/proto/envoy/type/matcher/v3/path_pb.js";
export type { SocketOption } from "#generated/proto/envoy/config/core/v3/socket_option_pb.js";
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
export type { TokenBucket } from "#generated/proto/envoy/type/v3/token_bucket_pb.js";
export type { HttpUri } from "#generated/proto/envoy/config/core/v3/http_uri_pb.js";
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
export { type HttpStatus, StatusCode as HttpStatusCode } from "#generated/proto/envoy/type/v3/http_status_pb.js";
export type { RateLimitUnit } from "#generated/proto/envoy/type/v3/ratelimit_unit_pb.js";
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
export type {
  HashPolicy as TcpHashPolicy,
  HashPolicy_SourceIp as TcpHashPolicy_SourceIp,
} from "#generated/proto/envoy/type/v3/hash_policy_pb.js";
export {
  type ProxyProtocolConfig,
  ProxyProtocolConfig_Version,
} from "#generated/proto/envoy/config/core/v3/proxy_protocol_pb.js";
