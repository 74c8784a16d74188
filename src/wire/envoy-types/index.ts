/** All of Envoy's API, for EnvoyFilters. Descriptors are parsed on demand. */
export { EnvoyTypes } from "./envoy-types.ts";
export { mergeMessage } from "./merge-message.ts";
