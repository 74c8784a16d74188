// The lab's API server: requests, answers, watches, and the certificates of the cluster.
export { ApiServer, type ApiServerOptions, type BoundAddress } from "./api-server.ts";
export { createClusterPki, type ClusterPki, type ClusterPkiOptions, type PemFiles } from "./cluster-pki.ts";
