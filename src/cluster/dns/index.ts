export { addClusterDns, type ClusterDnsOptions } from "./cluster-dns.ts";
export { DnsServer, type DnsServerOptions } from "./dns-server.ts";
export type { ZoneSource } from "./zone.ts";
