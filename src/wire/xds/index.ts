/** Names of the discovery protocol; the messages are behind `wire/discovery`, `wire/workload` and `wire/envoy`. */
export { discoveryMethods, typeUrls } from "./type-urls.ts";
