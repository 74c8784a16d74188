export { planCanary, routeOf, type CanaryWorld } from "./canary/canary-plan.ts";
export { ztunnelOwnerAnnotation } from "./labels.ts";
export { planMeshUpgrade, type GatewayInWorld, type MeshWorld } from "./mesh/mesh-upgrade-plan.ts";
export { probeNamespace, probePods } from "./probe-objects.ts";
export { labelPointer, referenceTo } from "./references.ts";
