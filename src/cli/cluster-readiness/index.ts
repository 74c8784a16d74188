// Examines whether a cluster can run the mesh, for `doctor --kubernetes` and `precheck`.
export { gatewayDefinitions, lackedVersions, oldestMinor, readJson, serverVersion, whyNot } from "./cluster-facts.ts";
export { findingsText, type ClusterFinding } from "./cluster-finding.ts";
export { clusterDomain, otherDomain } from "./domain-findings.ts";
export { examineCluster } from "./examine-cluster.ts";
export { besideIstio, istioImageOf } from "./istio-image.ts";
export { networkObstacles } from "./network-findings.ts";
export { clusterPlatform } from "./node-findings.ts";
