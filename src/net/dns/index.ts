// Forwards DNS queries. It has a separate door, so that the lab's name server need not load the rest of the part.
export { DnsForwarder, type DnsTransport } from "./dns-forwarder.ts";
export { headerBytes as dnsHeaderBytes, isPlainQuery, isResponse, withLength } from "./dns-message.ts";
export type { DnsSockets, NameServer } from "./dns-sockets.ts";
