// Envoy's clusters and endpoints, with their transport sockets.

export {
  type Cluster,
  type Cluster_CommonLbConfig,
  Cluster_ClusterProtocolSelection,
  Cluster_DiscoveryType,
  Cluster_LbPolicy,
  type Cluster_TransportSocketMatch,
  Cluster_TransportSocketMatchSchema,
  Cluster_DnsLookupFamily,
  ClusterSchema,
  Cluster_LeastRequestLbConfigSchema,
  type Cluster_SlowStartConfig,
  Cluster_CommonLbConfigSchema,
  Cluster_RingHashLbConfig_HashFunction,
  Cluster_RingHashLbConfigSchema,
  type Cluster_CustomClusterType,
  UpstreamConnectionOptionsSchema,
} from "#generated/proto/envoy/config/cluster/v3/cluster_pb.js";
export {
  type CircuitBreakers,
  type CircuitBreakers_Thresholds,
  CircuitBreakers_ThresholdsSchema,
  CircuitBreakersSchema,
} from "#generated/proto/envoy/config/cluster/v3/circuit_breaker_pb.js";
export {
  type OutlierDetection,
  OutlierDetectionSchema,
} from "#generated/proto/envoy/config/cluster/v3/outlier_detection_pb.js";
export {
  type ClusterLoadAssignment,
  ClusterLoadAssignmentSchema,
} from "#generated/proto/envoy/config/endpoint/v3/endpoint_pb.js";
export {
  type Endpoint,
  type LbEndpoint,
  LbEndpointSchema,
  type LocalityLbEndpoints,
  LocalityLbEndpointsSchema,
} from "#generated/proto/envoy/config/endpoint/v3/endpoint_components_pb.js";
export {
  type InternalUpstreamTransport,
  InternalUpstreamTransportSchema,
} from "#generated/proto/envoy/extensions/transport_sockets/internal_upstream/v3/internal_upstream_pb.js";
export { RawBufferSchema } from "#generated/proto/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.js";
export {
  type CommonTlsContext,
  CommonTlsContextSchema,
  type DownstreamTlsContext,
  DownstreamTlsContextSchema,
  type UpstreamTlsContext,
  UpstreamTlsContextSchema,
} from "#generated/proto/envoy/extensions/transport_sockets/tls/v3/tls_pb.js";
export {
  type CertificateValidationContext,
  CertificateValidationContext_TrustChainVerification,
  CertificateValidationContextSchema,
  type SubjectAltNameMatcherSchema,
  SubjectAltNameMatcher_SanType,
  type TlsCertificate,
  type TlsParameters,
  TlsParameters_CompliancePolicy,
  TlsParameters_TlsProtocol,
  type TlsParametersSchema,
} from "#generated/proto/envoy/extensions/transport_sockets/tls/v3/common_pb.js";
export {
  type SdsSecretConfig,
  type Secret,
  SecretSchema,
} from "#generated/proto/envoy/extensions/transport_sockets/tls/v3/secret_pb.js";
export {
  type HttpProtocolOptions,
  HttpProtocolOptionsSchema,
} from "#generated/proto/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js";
export { CaresDnsResolverConfigSchema } from "#generated/proto/envoy/extensions/network/dns_resolver/cares/v3/cares_dns_resolver_pb.js";
export {
  type ClusterConfig as DynamicForwardProxyCluster,
  ClusterConfigSchema as DynamicForwardProxyClusterSchema,
} from "#generated/proto/envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster_pb.js";
export {
  type DnsCacheConfig,
  DnsCacheConfigSchema,
} from "#generated/proto/envoy/extensions/common/dynamic_forward_proxy/v3/dns_cache_pb.js";
export {
  type ProxyProtocolUpstreamTransport,
  ProxyProtocolUpstreamTransportSchema,
} from "#generated/proto/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol_pb.js";
