/** The part of a preflight plan that an engine in the cluster can make: pure, from plain objects. */
export { preflightCluster, type ClusterPreflight, type ClusterPreflightInput } from "./preflight-cluster.ts";
export { checkTrust, fingerprints, type AuthoritySecrets, type MeshTrust, type TrustInput } from "./trust.ts";
export { surveyWorkloads, type WorkloadFacts } from "./workloads.ts";
export type { DefinitionsInput } from "../compare/definitions.ts";
export type { PlannedWave } from "../options.ts";
export type { Finding, Severity, TrustReport, Verdict } from "../report.ts";
