// The facts about a cluster that the launcher, the supervisor, the nodes and the command line share. This door is
// separate, so that these programs need not load other parts.
export {
  clusterDirectory,
  hostProcess,
  isClusterRunning,
  isHostProcessAlive,
  labNetwork,
  listClusterNames,
  readClusterRecord,
  requireCluster,
  requireRunningCluster,
  stateHome,
  writeClusterRecord,
  type ClusterNode,
  type ClusterRecord,
  type HostProcess,
} from "./cluster-record.ts";
export { kubernetesVersion } from "./kubernetes-version.ts";
export { clusterDomain, clusterResolver, resolverFile } from "./resolver-file.ts";
