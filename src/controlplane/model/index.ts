export { factsKey, meshKey, type MeshSettings } from "./facts.ts";
export { createMeshInputs, type MeshInputs } from "./mesh-inputs.ts";
