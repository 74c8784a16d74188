export { acknowledgements, connectedProxies, syncStatus } from "./acknowledgement.ts";
export { createDiscoveryMetrics, type DiscoveryMetrics } from "./discovery-metrics.ts";
export { DiscoveryServer, type DiscoveryServerOptions } from "./discovery-server.ts";
export { bind, createPlaintextServer, createSecureServer, RotatingServerCredentials, stop, type GrpcServersOptions } from "./grpc-servers.ts";
export { json, serveHttp, type HttpAnswer, type HttpRoute } from "./http-endpoints.ts";
export type { ProxyIdentity } from "./proxy-identity.ts";
export { MappedView } from "./mapped-view.ts";
export { SecretView, type SecretViewOptions } from "./secret-view.ts";
export { CollectionView, emptyView, NamedView, ReferencedView, ScopedView, SwitchingView, UnionView, type ResourceView, type ViewSource } from "./resource-view.ts";
