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
  type IstioOperatorSpec,
  type KubernetesSettings,
} from "./istio-operator.ts";
export type { ConnectionPool, TcpKeepalive } from "./connection-pool.ts";
export { withCorrectedHeaders, type Corrected } from "./corrected-headers.ts";
export {
  destinationRuleKind,
  type DestinationRule,
  type DestinationRuleSpec,
  type DestinationSubset,
} from "./destination-rule.ts";
export type { Destination, RouteDestination } from "./destination.ts";
export { grpcStatusNames, type HttpFault } from "./http-fault.ts";
export { envoyFilterKind, type EnvoyConfigPatch, type EnvoyFilter, type EnvoyPatchOperation } from "./envoy-filter.ts";
export { envoyCelFault } from "./envoy-expression.ts";
export type { EnvoyListenerMatch } from "./envoy-filter-match.ts";
export { envoyPatchTypes, type EnvoyPatchPlace } from "./envoy-filter-place.ts";
export {
  trafficExtensionKind,
  wasmPluginKind,
  type TrafficExtension,
  type WasmModule,
  type WasmPlugin,
} from "./extensions.ts";
export { namesInBrackets } from "./authorization-values.ts";
export { withLiteralPercents } from "./http-headers.ts";
export { istioKinds } from "./istio-kinds.ts";
export { istioGatewayKind, type GatewayServer, type IstioGateway } from "./istio-gateway.ts";
export type { IstioPort } from "./istio-port.ts";
export type { ConsistentHash, HashKey, Warmup } from "./load-balancer.ts";
export type { LocalityLoadBalancer, ZoneAwareLoadBalancer } from "./locality-load-balancer.ts";
export { proxyConfigKind, type ProxyConfigObject } from "./proxy-config-object.ts";
export { requestAuthenticationKind, type JwtRule, type RequestAuthentication } from "./request-authentication.ts";
export { externalSecretPrefix, type ServerTls, type TlsVersion } from "./server-tls.ts";
export { automaticallyAddressedHosts, serviceEntryKind, type ServiceEntry } from "./service-entry.ts";
export {
  sidecarKind,
  type CaptureMode,
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
  type MetricsOverride,
  type Telemetry,
  type TelemetryAccessLogging,
  type TelemetryMetrics,
  type TelemetryTracing,
  type TracingTag,
} from "./telemetry.ts";
export type { ClientTls, OutlierDetection, TrafficPolicy, TrafficPolicySettings } from "./traffic-policy.ts";
export type { HttpCorsPolicy } from "./http-cors.ts";
export type { HttpHeaderChanges } from "./http-header-changes.ts";
export type { HttpRetry } from "./http-retry.ts";
export type {
  HttpDirectResponse,
  HttpMatch,
  HttpMirror,
  HttpRedirect,
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
} from "./labels.ts";
export type { FileLogProvider, GrpcLogProvider, OpenTelemetryLogProvider } from "./access-log-provider.ts";
export type { GrpcAuthorizationProvider, HttpAuthorizationProvider } from "./authorization-provider.ts";
export type { ExtensionProvider } from "./extension-provider.ts";
export type { ProviderHeaders, ProviderHttp, ProviderService } from "./provider-service.ts";
export type { DynatraceSampler, OpenTelemetryProvider, TracingProvider, ZipkinProvider } from "./tracing-provider.ts";
export type { TrustedAuthority } from "./trusted-authority.ts";
export { parseMeshConfig, type EntryVisibility, type MeshConfig, type PathNormalization } from "./mesh-config.ts";
export { withJsonNames } from "./proto-json-names.ts";
export { parseMeshNetworks, type MeshNetworks } from "./mesh-networks.ts";
export type { ForwardClientCertDetails, ProxyConfig, OwnProxyConfig } from "./proxy-config.ts";
export { readOwnProxyConfig, withOwnProxyConfig } from "./proxy-config.ts";
export { peerAuthenticationKind, type MutualTlsMode, type PeerAuthentication } from "./peer-authentication.ts";
export type { PolicyTargetReference } from "./policy-target.ts";
export { workloadGroupKind, type WorkloadGroup } from "./workload-group.ts";
