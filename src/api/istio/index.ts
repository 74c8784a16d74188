// Istio's kinds: types with all defaults filled in, and parsers for users' objects.
export { unixPrefix } from "./checks.ts";
export {
  trafficExtensionKind,
  wasmPluginKind,
  type TrafficExtension,
  type WasmModule,
  type WasmPlugin,
} from "./extensions.ts";
export { alwaysRejectAnnotation } from "./fields.ts";
export { hostCovers, hostsOverlap, isWildcard, narrowerHost } from "./host-covers.ts";
export { istioKinds } from "./istio-kinds.ts";
export {
  parseIstioOperator,
  type ComponentSpec,
  type GatewaySpec,
  type IstioOperatorSpec,
  type KubernetesSettings,
} from "./istio-operator.ts";
export {
  defaultRevision,
  defaultValidatorName,
  istioAnnotations,
  istioLabels,
  istioTokenVolume,
  meshWaypointAnnotations,
  resolveRevision,
  rootSource,
} from "./labels.ts";
export type { PolicyTargetReference } from "./policy-target.ts";
export {
  isAcceptedTag,
  telemetryKind,
  type IstioMetric,
  type MetricsOverride,
  type Telemetry,
  type TelemetryAccessLogging,
  type TelemetryMetrics,
  type TelemetryTracing,
  type TracingTag,
} from "./telemetry.ts";
export type { ConnectionPool, TcpKeepalive } from "./destination-rule/connection-pool.ts";
export {
  destinationRuleKind,
  type DestinationRule,
  type DestinationRuleSpec,
  type DestinationSubset,
} from "./destination-rule/destination-rule.ts";
export type { ConsistentHash, HashKey, Warmup } from "./destination-rule/load-balancer.ts";
export type { LocalityLoadBalancer, ZoneAwareLoadBalancer } from "./destination-rule/locality-load-balancer.ts";
export type {
  ClientTls,
  OutlierDetection,
  TrafficPolicy,
  TrafficPolicySettings,
} from "./destination-rule/traffic-policy.ts";
export type { EnvoyListenerMatch } from "./envoy-filter/envoy-filter-match.ts";
export { envoyPatchTypes, type EnvoyPatchPlace } from "./envoy-filter/envoy-filter-place.ts";
export {
  envoyFilterKind,
  type EnvoyConfigPatch,
  type EnvoyFilter,
  type EnvoyPatchOperation,
} from "./envoy-filter/envoy-filter.ts";
export { envoyCelFault } from "./expressions/envoy-expression.ts";
export { withLiteralPercents } from "./expressions/http-headers.ts";
export type { FileLogProvider, GrpcLogProvider, OpenTelemetryLogProvider } from "./mesh-config/access-log-provider.ts";
export type { GrpcAuthorizationProvider, HttpAuthorizationProvider } from "./mesh-config/authorization-provider.ts";
export type { ConnectionSettings } from "./mesh-config/connection-settings.ts";
export type { ExtensionProvider } from "./mesh-config/extension-provider.ts";
export {
  parseMeshConfig,
  type EntryVisibility,
  type MeshConfig,
  type PathNormalization,
} from "./mesh-config/mesh-config.ts";
export { parseMeshNetworks, type MeshNetworks } from "./mesh-config/mesh-networks.ts";
export { withJsonNames } from "./mesh-config/proto-json-names.ts";
export type { ProviderHeaders, ProviderHttp, ProviderService } from "./mesh-config/provider-service.ts";
export { inclusionFault, type StatsMatcher } from "./mesh-config/stats-matcher.ts";
export { proxyConfigKind, type ProxyConfigObject } from "./mesh-config/proxy-config-object.ts";
export {
  readOwnProxyConfig,
  withOwnProxyConfig,
  type ForwardClientCertDetails,
  type OwnProxyConfig,
  type ProxyConfig,
} from "./mesh-config/proxy-config.ts";
export type {
  DynatraceSampler,
  OpenTelemetryProvider,
  TracingProvider,
  ZipkinProvider,
} from "./mesh-config/tracing-provider.ts";
export type { TrustedAuthority } from "./mesh-config/trusted-authority.ts";
export { istioGatewayKind, type GatewayServer, type IstioGateway } from "./networking/istio-gateway.ts";
export type { IstioPort } from "./networking/istio-port.ts";
export { externalSecretPrefix, type ServerTls, type TlsVersion } from "./networking/server-tls.ts";
export {
  copiedLength,
  endpointShare,
  maxCopiedLength,
  maxExpandedRoutes,
  proxyLimits,
  routeLimitFault,
  routeUnits,
  subsetLimitFault,
  subsetShare,
  workloadLimitFault,
  type LimitFault,
} from "./proxy-limits.ts";
export { automaticallyAddressedHosts, serviceEntryKind, type ServiceEntry } from "./networking/service-entry.ts";
export {
  sidecarKind,
  type CaptureMode,
  type Sidecar,
  type SidecarEgress,
  type SidecarIngress,
  type SidecarSpec,
} from "./networking/sidecar.ts";
export {
  workloadEntryKind,
  type IstioCondition,
  type WorkloadEntry,
  type WorkloadEntrySpec,
} from "./networking/workload-entry.ts";
export { workloadGroupKind, type WorkloadGroup } from "./networking/workload-group.ts";
export {
  authorizationPolicyKind,
  closedPolicySpec,
  type AuthorizationAction,
  type AuthorizationCondition,
  type AuthorizationOperation,
  type AuthorizationPolicy,
  type AuthorizationRule,
  type AuthorizationSource,
} from "./security/authorization-policy.ts";
export { namesInBrackets } from "./security/authorization-values.ts";
export { peerAuthenticationKind, type MutualTlsMode, type PeerAuthentication } from "./security/peer-authentication.ts";
export {
  requestAuthenticationKind,
  type JwtRule,
  type RequestAuthentication,
} from "./security/request-authentication.ts";
export { withCorrectedHeaders, type Corrected } from "./virtual-service/corrected-headers.ts";
export type { Destination, RouteDestination } from "./virtual-service/destination.ts";
export type { HttpCorsPolicy } from "./virtual-service/http-cors.ts";
export { grpcStatusNames, type HttpFault } from "./virtual-service/http-fault.ts";
export type { HttpHeaderChanges } from "./virtual-service/http-header-changes.ts";
export type { HttpRetry } from "./virtual-service/http-retry.ts";
export type { PresenceMatch, StringMatch } from "./virtual-service/string-match.ts";
export type {
  HttpDirectResponse,
  HttpMatch,
  HttpMirror,
  HttpRedirect,
  VirtualServiceHttpRoute,
} from "./virtual-service/virtual-service-http.ts";
export {
  meshGateway,
  virtualServiceKind,
  type L4Match,
  type TlsMatch,
  type VirtualService,
  type VirtualServiceSpec,
  type VirtualServiceTcpRoute,
  type VirtualServiceTlsRoute,
} from "./virtual-service/virtual-service.ts";
