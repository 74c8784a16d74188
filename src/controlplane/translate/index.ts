export { deriveAmbientResources, type AmbientResources } from "./ambient-resources.ts";
export type { EncodedResource } from "./resource.ts";
export { deriveRouterResources, scopedResourceKey, type RouterResources, type ScopedEncodedResource } from "./router-resources.ts";
