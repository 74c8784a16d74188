// The lab's name server.
export { addClusterDns } from "./cluster-dns.ts";
