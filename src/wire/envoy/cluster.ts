// Envoy's clusters and endpoints, with their transport sockets.

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
export {
  type CaresDnsResolverConfig,
  CaresDnsResolverConfigSchema,
} from "#generated/proto/envoy/extensions/network/dns_resolver/cares/v3/cares_dns_resolver_pb.js";
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
