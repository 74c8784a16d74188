export { factsKey, meshKey, type GatewayFacts, type MeshSettings } from "./facts.ts";
export { deriveRouteModels, type RouteModel } from "./gateway-model.ts";
export { createMeshInputs, type MeshInputs } from "./mesh-inputs.ts";
