// DNS for pods, which both data planes serve. A separate door, so that proxies without DNS need not load it.
export { serveDnsTcp, serveDnsUdp, type AnswerQuery, type DnsServer } from "./dns-listener.ts";
export { DnsResponder, type DnsObserver, type FoundName } from "./dns-responder.ts";
export { HostLookup, type ResolvedName } from "./host-lookup.ts";
export { readHostsFile, type HostsFile } from "./hosts-file.ts";
export { podDnsForwarder } from "./pod-dns-forwarder.ts";
export { readResolverFile, type ResolverFile } from "./resolver-file.ts";
export { shuffled } from "./shuffled.ts";
