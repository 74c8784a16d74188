/** All of Envoy's API, by descriptors that are read when they are asked for: what an EnvoyFilter may be made of. */
export { EnvoyTypes } from "./envoy-types.ts";
export { mergeMessage, type MergeOptions } from "./merge-message.ts";
