export { addClusterDns, type ClusterDnsOptions } from "./cluster-dns.ts";
