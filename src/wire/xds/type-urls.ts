/** Type URLs of the resources that are served by ADS. */
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
  /** The type of a proxy's reports about its health probes. It has no resources. */
  healthInformation: "type.googleapis.com/istio.v1.HealthInformation",
  /** The type of the additional roots for proxies. No other field of the message is sent. */
  proxyConfig: "type.googleapis.com/istio.mesh.v1alpha1.ProxyConfig",
  nameTable: "type.googleapis.com/istio.networking.nds.v1.NameTable",
} as const;

/**
 * Istio's type of debug pages over discovery. The resource's name is the path below `/debug/`. The types of istioctl's
 * own requests begin with this one.
 */
export const debugType = "istio.io/debug";

/** gRPC method paths. */
export const discoveryMethods = {
  deltaAds: "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
  stateOfTheWorldAds: "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
  createCertificate: "/istio.v1.auth.IstioCertificateService/CreateCertificate",
} as const;

/**
 * The prefix of keys in the `proxyMetadata` of the trust bundle (Istio's PCDS), an extension of Serin. Such a key names
 * the trust domains for which a root may sign, separated by commas. The SHA-256 of the root's DER follows the prefix,
 * in lower-case hexadecimal.
 */
export const trustDomainsPrefix = "SERIN_TRUST_DOMAINS_";
