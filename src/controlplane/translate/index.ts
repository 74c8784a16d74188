export { deriveAmbientResources, type AmbientResources } from "./ambient-resources.ts";
export type { EncodedResource } from "./resource.ts";
