/** Names of the discovery protocol. The messages are in `wire/discovery`, `wire/workload` and `wire/envoy`. */
export { discoveryMethods, typeUrls } from "./type-urls.ts";
