// Derives the model of the mesh from facts about objects, a folder for each subject.
export { hboneOf, meshKey, type MeshSettings, type PodFacts, type WorkloadEntryFacts } from "./facts.ts";
export { workloadEntryLabels, workloadNameOfEntry } from "./workload-entry.ts";
export { localityFromLabel } from "./service/service-endpoint-model.ts";
export {
  eastWestClassName,
  eastWestControllerName,
  eastWestManagedBy,
  gatewayControllerName,
  ingressClassName,
  isServedClass,
  isWaypointClass,
  meshClassName,
  meshControllerName,
  remoteClassName,
  unmanagedControllerName,
  waypointClassName,
  waypointsManagedBy,
} from "./gateway-class.ts";
export { watchForAmbient } from "./ambient/ambient-signs.ts";
export {
  ambientConditionTypes,
  ambientSubjects,
  deriveAmbientStatuses,
  type AmbientCondition,
  type AmbientStatuses,
  type AmbientStatusKind,
} from "./ambient/ambient-status.ts";
export { deriveLimitReports, type LimitReports } from "./limit-reports.ts";
export { WaypointBindings } from "./ambient/waypoint-bindings.ts";
export { waypointKeyOf, type Waypoints } from "./ambient/waypoint.ts";
export {
  deriveGatewayPlacements,
  type GatewayPlacement,
  type GatewayPort,
  type WaypointDeployment,
} from "./gateway/gateway-placement.ts";
export { gatewayAccountName, gatewayServiceName } from "./gateway-names.ts";
export { deriveBackendTlsStatuses, type WantedPolicyStatus } from "./gateway/backend-tls-status.ts";
export { deriveIngresses, type WantedIngressStatus } from "./gateway/ingress.ts";
export { deriveGatewayStatuses, type WantedGatewayStatus } from "./gateway/gateway-status.ts";
export { deriveListenerSetStatuses, type WantedListenerSetStatus } from "./gateway/listener-set-status.ts";
export {
  deriveRouteStatuses,
  deriveUdpRouteStatuses,
  type WantedRouteStatus,
  type WantedRouteStatuses,
} from "./gateway/route-status.ts";
export type { WantedCondition } from "./wanted-condition.ts";
export {
  configMapOfResource,
  configMapResource,
  type ConfigMapFacts,
  type ConfigMapReference,
} from "./config-map-facts.ts";
export type { NetworkGateways } from "./network-gateways.ts";
export { remoteKey } from "./remote-inputs.ts";
export { createMeshInputs, type MeshInputs } from "./mesh-inputs.ts";
export {
  authoritySuffix,
  resourcesOfSecret,
  secretReferences,
  type SecretFacts,
  type SecretRecipient,
  type SecretReference,
} from "./secret-facts.ts";
export { deriveConfigMapReferences, deriveSecretReferences } from "./gateway/secret-references.ts";
export type { OutboundScope } from "./outbound-scope.ts";
export type { OutboundScopes } from "./derive-outbound-scopes.ts";
export type { ProxyGroup, ScopeChoice } from "./scope-choice.ts";
export {
  derivePullSecretReferences,
  pullSecretName,
  translatedName,
  type PullSecretReference,
} from "./extension-inputs.ts";
export type { EnvoyFilterFacts, ExtensionInputs, ProxyConfigFacts, TrafficExtensionFacts } from "./extension-inputs.ts";
export { ExtensionSelection, type ExtendedProxy } from "./extension-selection.ts";
export { qualifiedHost } from "./service/service-hostname.ts";
export { serviceKey } from "./service/service-model.ts";
