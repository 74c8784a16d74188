export { deriveAmbientResources, type AmbientResources } from "./ambient-resources.ts";
export { scopedResourceKey, type EncodedResource, type ScopedEncodedResource } from "./resource.ts";
export { deriveWaypointResources, type WaypointResources } from "./waypoint-resources.ts";
export { deriveRouterResources, type RouterResources } from "./router-resources.ts";
export { deriveClassicGatewayResources, type ClassicGatewayResources } from "./gateway-classic-resources.ts";
export { deriveInboundResources, type InboundResources } from "./inbound-resources.ts";
export { withoutIstioFilters } from "./stock-envoy.ts";
export { rootsResource, secretResource } from "./secret-resource.ts";
export { deriveMeshModel, deriveOutboundResources, fixedClusterNames, type MeshModel, type OutboundResources } from "./outbound-resources.ts";
