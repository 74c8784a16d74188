/**
 * Names on which both ends of discovery agree. The messages are in `wire/discovery`, `wire/workload` and `wire/envoy`.
 */
export { debugType, discoveryMethods, trustDomainsPrefix, typeUrls } from "./type-urls.ts";
export { localClusterName, localityOfLabels } from "./workload-locality.ts";
