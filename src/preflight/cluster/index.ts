/** The part of a preflight plan that an engine inside the cluster can make. Pure: it takes plain objects. */
export { preflightCluster, type ClusterPreflight, type ClusterPreflightInput } from "./preflight-cluster.ts";
export type { AuthoritySecrets, MeshTrust, TrustInput } from "./trust.ts";
export type { WorkloadFacts } from "./workloads.ts";
export type { DefinitionsInput } from "../compare/definitions.ts";
export type { PlannedWave } from "../options.ts";
export type { Finding, Severity, TrustReport, Verdict } from "../report.ts";
