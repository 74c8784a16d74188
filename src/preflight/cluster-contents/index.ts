export { checkRevision, meshConfigOf, readCluster, readMeshConfig, type ClusterContents } from "./cluster-contents.ts";
