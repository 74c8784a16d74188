// Creates and deletes labs, opens a shell in them, and examines the machine.
export { clusterDirectory, requireCluster } from "../record/index.ts";
export { runInCluster } from "./cluster-shell.ts";
export { clusterUrls } from "./cluster-urls.ts";
export { diagnose, programPath, type Finding } from "./doctor.ts";
export { createCluster } from "./create-cluster.ts";
export { clusterKubeconfig, deleteCluster, forgetCluster, listClusters } from "./delete-cluster.ts";
export { parseKindConfig } from "./kind-config.ts";
