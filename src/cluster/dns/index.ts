// The lab's name server.
export { addClusterDns, type ClusterDnsOptions } from "./cluster-dns.ts";
