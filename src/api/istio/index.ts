// Istio's kinds: types with all defaults filled in, and parsers for users' objects.
export {
  authorizationPolicyKind,
  closedPolicySpec,
  type AuthorizationAction,
  type AuthorizationCondition,
  type AuthorizationOperation,
  type AuthorizationPolicy,
  type AuthorizationRule,
  type AuthorizationSource,
} from "./authorization-policy.ts";
export {
  parseIstioOperator,
  type ComponentSpec,
  type GatewaySpec,
  type IstioComponents,
  type IstioOperator,
  type IstioOperatorSpec,
  type KubernetesSettings,
  type Overlay,
} from "./istio-operator.ts";
export type { ConnectionPool, HttpPool, TcpKeepalive, TcpPool } from "./connection-pool.ts";
export { withCorrectedHeaders, type Corrected } from "./corrected-headers.ts";
export {
  destinationRuleKind,
  type DestinationRule,
  type DestinationRuleSpec,
  type DestinationSubset,
} from "./destination-rule.ts";
export type { Destination, RouteDestination } from "./destination.ts";
export { grpcStatusNames, type GrpcStatusName, type HttpAbortError, type HttpFault } from "./http-fault.ts";
export {
  envoyFilterKind,
  type EnvoyConfigPatch,
  type EnvoyFilter,
  type EnvoyFilterSpec,
  type EnvoyPatchOperation,
} from "./envoy-filter.ts";
export { envoyCelFault } from "./envoy-expression.ts";
export type { EnvoyClusterMatch, EnvoyListenerMatch, EnvoyRouteConfigurationMatch } from "./envoy-filter-match.ts";
export { envoyPatchTypes, type EnvoyPatchPlace } from "./envoy-filter-place.ts";
export {
  trafficExtensionKind,
  wasmPluginKind,
  type ExtensionPlace,
  type TrafficExtension,
  type TrafficExtensionCode,
  type WasmModule,
  type WasmPlugin,
} from "./extensions.ts";
export { namesInBrackets } from "./authorization-values.ts";
export { withLiteralPercents } from "./http-headers.ts";
export { istioKinds } from "./istio-kinds.ts";
export { istioGatewayKind, type GatewayServer, type IstioGateway, type IstioGatewaySpec } from "./istio-gateway.ts";
export type { IstioPort } from "./istio-port.ts";
export type { ConsistentHash, HashKey, LoadBalancer, SimpleLoadBalancer, Warmup } from "./load-balancer.ts";
export type { LocalityLoadBalancer, ZoneAwareLoadBalancer } from "./locality-load-balancer.ts";
export { proxyConfigKind, type ProxyConfigObject, type ProxyConfigObjectSpec } from "./proxy-config-object.ts";
export {
  requestAuthenticationKind,
  type JwtRule,
  type RequestAuthentication,
  type RequestAuthenticationSpec,
} from "./request-authentication.ts";
export {
  externalSecretPrefix,
  type ServerCertificateFiles,
  type ServerTls,
  type ServerTlsMode,
  type TlsVersion,
} from "./server-tls.ts";
export {
  automaticallyAddressedHosts,
  serviceEntryKind,
  type ServiceEntry,
  type ServiceEntryResolution,
  type ServiceEntrySpec,
} from "./service-entry.ts";
export {
  sidecarKind,
  type CaptureMode,
  type OutboundTrafficPolicy,
  type Sidecar,
  type SidecarEgress,
  type SidecarIngress,
  type SidecarSpec,
} from "./sidecar.ts";
export type { PresenceMatch, StringMatch } from "./string-match.ts";
export {
  isAcceptedTag,
  telemetryKind,
  type IstioMetric,
  type MetricMatch,
  type MetricsOverride,
  type Telemetry,
  type TelemetryAccessLogging,
  type TelemetryMetrics,
  type TelemetrySpec,
  type TelemetryTracing,
  type TracingTag,
  type WorkloadMode,
} from "./telemetry.ts";
export type {
  ClientTls,
  OutlierDetection,
  PortTrafficPolicy,
  TrafficPolicy,
  TrafficPolicySettings,
} from "./traffic-policy.ts";
export type { HttpCorsPolicy } from "./http-cors.ts";
export type { HeaderOperations, HttpHeaderChanges } from "./http-header-changes.ts";
export type { HttpRetry } from "./http-retry.ts";
export type {
  HttpDirectResponse,
  HttpMatch,
  HttpMirror,
  HttpRedirect,
  HttpRewrite,
  HttpRouteDestination,
  VirtualServiceHttpRoute,
} from "./virtual-service-http.ts";
export {
  maxExpandedRoutes,
  virtualServiceKind,
  type L4Match,
  type TlsMatch,
  type VirtualService,
  type VirtualServiceSpec,
  type VirtualServiceTcpRoute,
  type VirtualServiceTlsRoute,
} from "./virtual-service.ts";
export {
  workloadEntryKind,
  type IstioCondition,
  type WorkloadEntry,
  type WorkloadEntrySpec,
} from "./workload-entry.ts";
export { alwaysRejectAnnotation } from "./fields.ts";
export {
  defaultRevision,
  defaultValidatorName,
  istioAnnotations,
  istioLabels,
  istioTokenVolume,
  meshWaypointAnnotations,
  resolveRevision,
  rootSource,
  type RevisionLabels,
  type RootPlace,
} from "./labels.ts";
export type { FileLogProvider, GrpcLogProvider, OpenTelemetryLogProvider } from "./access-log-provider.ts";
export type { GrpcAuthorizationProvider, HttpAuthorizationProvider } from "./authorization-provider.ts";
export type { ExtensionProvider } from "./extension-provider.ts";
export type { ProviderHeaders, ProviderHttp, ProviderService } from "./provider-service.ts";
export type { DynatraceSampler, OpenTelemetryProvider, TracingProvider, ZipkinProvider } from "./tracing-provider.ts";
export type { TrustedAuthority } from "./trusted-authority.ts";
export {
  parseMeshConfig,
  type EntryVisibility,
  type MeshConfig,
  type PathNormalization,
  type ServiceScope,
} from "./mesh-config.ts";
export { withJsonNames } from "./proto-json-names.ts";
export { parseMeshNetworks, type MeshNetwork, type MeshNetworkGateway, type MeshNetworks } from "./mesh-networks.ts";
export type {
  ForwardClientCertDetails,
  GatewayTopology,
  ProxyConfig,
  ProxyHeaders,
  ProxyTracing,
  OwnProxyConfig,
} from "./proxy-config.ts";
export { readOwnProxyConfig, withOwnProxyConfig } from "./proxy-config.ts";
export { peerAuthenticationKind, type MutualTlsMode, type PeerAuthentication } from "./peer-authentication.ts";
export type { PolicyTarget, PolicyTargetReference } from "./policy-target.ts";
export {
  workloadGroupKind,
  type ProbeMethod,
  type WorkloadGroup,
  type WorkloadGroupSpec,
  type WorkloadProbe,
} from "./workload-group.ts";
