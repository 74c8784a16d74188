// The objects of a cluster that an analysis reads.
export { checkRevision, meshConfigOf, readCluster, type ClusterContents } from "./cluster-contents.ts";
