// Serves resources over xDS, and answers questions about connected proxies.
export { acknowledgements, connectedProxies, goneProxies, syncStatus } from "./acknowledgement.ts";
export { DebugRequests, mayAskDebug, type DebugRoute } from "./debug-requests.ts";
export { createDiscoveryMetrics } from "./discovery-metrics.ts";
export { DiscoveryServer, type DebugAnswerer } from "./discovery-server.ts";
export { RotatingCertificate, type GrpcServer } from "./grpc/index.ts";
export { createPlaintextServer, createSecureServer } from "./grpc-servers.ts";
export { listening } from "./http-server.ts";
export {
  forKnownCallers,
  forLoopback,
  json,
  serveHttp,
  type AuthenticateRequest,
  type HttpAnswer,
  type HttpRoute,
} from "./http-endpoints.ts";
export type { ProxyIdentity } from "./proxy-identity.ts";
export type { ProbedHealth, WorkloadProxies } from "./proxy-registration.ts";
export { ExtendedView, ExtensionConfigView } from "./resource-views/extended-view.ts";
export { GrpcListenerView, GrpcRouteView } from "./resource-views/grpc-view.ts";
export { MappedView } from "./resource-views/mapped-view.ts";
export { PermittedView } from "./resource-views/permitted-view.ts";
export { SecretView, type SecretViewOptions } from "./resource-views/secret-view.ts";
export { LocalClusterView } from "./resource-views/local-cluster-view.ts";
export { ScopeClusterView } from "./resource-views/scope-cluster-view.ts";
export {
  CollectionView,
  emptyView,
  NamedView,
  ScopedView,
  SwitchingView,
  UnionView,
  type ResourceView,
  type ViewSource,
} from "./resource-views/resource-view.ts";
export { AnnouncedTableView, RouteTableView, VirtualHostView } from "./resource-views/route-view.ts";
export { SharedView } from "./resource-views/shared-view.ts";
export { rootsReport } from "./roots-report.ts";
export { serveLogControl } from "./log-control.ts";
export { proxyConfigDump, streamResources } from "./proxy-config-dump.ts";
