/** Type URLs of what ADS transports. */
export const typeUrls = {
  cluster: "type.googleapis.com/envoy.config.cluster.v3.Cluster",
  endpoint: "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
  listener: "type.googleapis.com/envoy.config.listener.v3.Listener",
  route: "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
  extensionConfig: "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
  virtualHost: "type.googleapis.com/envoy.config.route.v3.VirtualHost",
  secret: "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
  address: "type.googleapis.com/istio.workload.Address",
  workload: "type.googleapis.com/istio.workload.Workload",
  authorization: "type.googleapis.com/istio.security.Authorization",
  /** A proxy's reports about its health probes. No resources of this type exist. */
  healthInformation: "type.googleapis.com/istio.v1.HealthInformation",
  /** Additional roots for proxies. All other fields of the message are empty. */
  proxyConfig: "type.googleapis.com/istio.mesh.v1alpha1.ProxyConfig",
  nameTable: "type.googleapis.com/istio.networking.nds.v1.NameTable",
} as const;

/**
 * Istio's type for debug pages over discovery. The name of a resource is the path below `/debug/`. The types of
 * istioctl's own requests begin with this one.
 */
export const debugType = "istio.io/debug";

/** The paths of gRPC methods. */
export const discoveryMethods = {
  deltaAds: "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
  stateOfTheWorldAds: "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
  createCertificate: "/istio.v1.auth.IstioCertificateService/CreateCertificate",
} as const;

/**
 * An extension of Serin to the trust bundle (Istio's PCDS): the prefix of keys in its `proxyMetadata`. Such a key ends
 * with the lower-case hex SHA-256 of a root's DER. Its value is the trust domains for which that root may sign,
 * separated by commas.
 */
export const trustDomainsPrefix = "SERIN_TRUST_DOMAINS_";
