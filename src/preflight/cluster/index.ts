/** The part of a preflight plan that an engine inside the cluster can make. Pure: it takes plain objects. */
export { preflightCluster, type ClusterPreflightInput } from "./preflight-cluster.ts";
