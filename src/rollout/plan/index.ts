export { planCanary, routeOf, type CanaryWorld } from "./canary/canary-plan.ts";
export { ztunnelOwnerAnnotation } from "./labels.ts";
export { planMeshUpgrade, type GatewayInWorld, type MeshWorld } from "./mesh/mesh-upgrade-plan.ts";
export { probeObjects, probePods, probeSettle, probesOfRevision } from "./probe-objects.ts";
export { probeNamespace, probePairs, type PlannedProbePair, type ProbeScope } from "./probe-pairs.ts";
export { labelPointer, referenceTo } from "./references.ts";
