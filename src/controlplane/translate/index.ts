// Translates the model into Envoy's resources with pure functions.
export { deriveMeshModel, type MeshModel } from "./mesh-model.ts";
export { deriveAmbientResources, type AmbientResources } from "./ambient/ambient-resources.ts";
export { fieldOf, scopedResourceKey, type EncodedResource, type ScopedEncodedResource } from "./resource.ts";
export { deriveWaypointResources, type WaypointResources } from "./waypoint/waypoint-resources.ts";
export { deriveRouterResources, type RouterResources } from "./gateway/router-resources.ts";
export { deriveClassicGatewayResources, type ClassicGatewayResources } from "./gateway/gateway-classic-resources.ts";
export {
  deriveInboundResources,
  deriveMachineInboundResources,
  deriveRemoteInboundResources,
  type InboundResources,
} from "./inbound/inbound-resources.ts";
export { inboundListenerName } from "./inbound/inbound-chain.ts";
export { noLocalEndpoints, type LocalClusters } from "./inbound/local-clusters.ts";
export {
  grpcCluster,
  grpcEndpoints,
  grpcListener,
  grpcRoutes,
  grpcRoutesName,
  grpcTargetOfListener,
  grpcTargetOfRoutes,
  type GrpcTarget,
} from "./grpc/grpc-resources.ts";
export { grpcServerAddress, grpcServerListener } from "./grpc/grpc-server-listener.ts";
export { addressFamiliesOf, forAddressFamilies } from "./address-families.ts";
export { withOwnHeaderCase } from "./own-header-case.ts";
export { withOwnHeaders } from "./own-route-headers.ts";
export { withAcceptedLogs } from "./envoy-access-logs.ts";
export { withoutIstioFilters } from "./stock-envoy.ts";
export { waypointPodScope } from "./waypoint/waypoint-place.ts";
export { servedKey } from "./waypoint/waypoint-sources.ts";
export { rootsResource, secretResource } from "./secret-resource.ts";
export type { ClientService } from "./outbound/outbound-client.ts";
export type { OutboundClusters, SharedCluster } from "./outbound/outbound-clusters.ts";
export {
  announcedTableResource,
  routeTableResource,
  virtualHostName,
  virtualHostResource,
  type OutboundRoutes,
} from "./outbound/outbound-route-tables.ts";
export type { HostPlan, RouteTable } from "./outbound/outbound-host.ts";
export { deriveOutboundResources, fixedClusterNames, type OutboundResources } from "./outbound/outbound-resources.ts";
export { compileExtension } from "./extension-filters.ts";
export { compilePatches, type CompiledPatch, type PatchFault } from "./envoy-filter/compiled-patch.ts";
export { ExtensionProgram, isForType } from "./envoy-filter/extension-program.ts";
export { contentHash } from "./content-hash.ts";
export { trustBundle, type BundleRoot } from "./trust-bundle.ts";
