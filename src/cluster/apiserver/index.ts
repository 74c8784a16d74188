// The lab's API server: requests, answers, watches, and the certificates of the cluster.
export { ApiServer, type ApiServerOptions } from "./api-server.ts";
export { createClusterPki, type ClusterPki } from "./cluster-pki.ts";
