// The objects of a cluster that an analysis reads.
export { checkRevision, meshConfigOf, readAnalysedCluster, type AnalysedCluster } from "./analysed-cluster.ts";
