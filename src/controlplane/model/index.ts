export { meshKey, type GatewayFacts, type MeshSettings } from "./facts.ts";
export { deriveRouteModels, type RouteModel } from "./gateway-model.ts";
export { gatewayControllerName } from "./gateway-class.ts";
export { deriveGatewayPlacements, type GatewayPlacement } from "./gateway-placement.ts";
export { deriveGatewayStatuses, deriveRouteStatuses, gatewayServiceName, type WantedCondition, type WantedGatewayStatus, type WantedRouteStatus } from "./gateway-status.ts";
export { createMeshInputs, type MeshInputs } from "./mesh-inputs.ts";
export { resourcesOfSecret, secretReferences, type SecretFacts, type SecretReference } from "./secret-facts.ts";
export { deriveSecretReferences } from "./secret-references.ts";
export type { OutboundScopes, ProxyGroup, ScopeChoice } from "./sidecar-scope.ts";
