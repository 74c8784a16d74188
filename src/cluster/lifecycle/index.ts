// Creates and deletes labs, opens a shell in them, and examines the machine.
export { clusterDirectory, requireCluster, type ClusterNode, type ClusterRecord } from "../record/index.ts";
export { runInCluster } from "./cluster-shell.ts";
export { clusterUrls } from "./cluster-urls.ts";
export { diagnose, type DoctorOptions, type Finding } from "./doctor.ts";
export { createCluster, type CreateClusterOptions, type CreatedCluster } from "./create-cluster.ts";
export { clusterKubeconfig, deleteCluster, listClusters, type ListedCluster } from "./delete-cluster.ts";
export { parseKindConfig, type ClusterPlan, type ParsedKindConfig } from "./kind-config.ts";
