/** Reads what proxies report on their admin port, and explains it in words. */
export { addressText, type Address } from "./address-text.ts";
export { parseClusterStatuses, type ClusterStatuses, type HostStatus } from "./cluster-statuses.ts";
export { compareClusterNames, parseClusterName } from "./cluster-name.ts";
export { compare } from "./compare.ts";
export {
  ConfigDump,
  type ClusterConfig,
  type EndpointAssignment,
  type FilterChain,
  type Json,
  type ListenerConfig,
  type LocalityEndpoints,
  type Matcher,
  type OnMatch,
  type RouteConfig,
} from "./config-dump.ts";
export { jsonNames } from "./json-names.ts";
export { addressesOf, chainMatchText, chainsOf, destinationText, listenerTypeOf, portOf } from "./listener-text.ts";
export { domainsText, managedBy, matchText } from "./route-text.ts";
export { certificatesIn, rootCertificates, secretRows } from "./secret-rows.ts";
export {
  certificateSection,
  connectionSection,
  parseZtunnelDump,
  policySection,
  serviceSection,
  workloadSection,
  type DumpFilter,
  type DumpSection,
  type ZtunnelDump,
} from "./ztunnel-dump.ts";
