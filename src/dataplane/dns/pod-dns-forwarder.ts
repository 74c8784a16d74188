import { createSocket } from "node:dgram";
import { once } from "node:events";
import { systemClock } from "../../base/index.ts";
import { bindUdpInNamespace, connectTcp, ipFamilyOf, streamDuplex } from "../../net/index.ts";
import { DnsForwarder, type DnsSockets } from "../../net/dns/index.ts";

export interface PodDnsOptions {
  /** The name servers, the preferred one first. */
  readonly nameservers: readonly string[];
  /** The SO_MARK of the queries, which exempts them from redirection. */
  readonly mark?: number;
}

/**
 * The time limit in milliseconds for one server's answer. Resolvers retry after five seconds, so two servers can be
 * queried before that.
 */
const timeoutMs = 2_000;
const dnsPort = 53;

/** Forwards the queries of pods to the name servers of a resolv.conf. */
export function podDnsForwarder({ nameservers, mark }: PodDnsOptions): DnsForwarder {
  return new DnsForwarder({
    servers: nameservers.map((address) => ({ address, port: dnsPort })),
    timeoutMs,
    clock: systemClock,
    ...(mark === undefined ? {} : { sockets: markedSockets(mark) }),
  });
}

function markedSockets(mark: number): DnsSockets {
  return {
    udp: async ({ address }) => {
      const isIpv6 = ipFamilyOf(address) === "ipv6";
      const socket = createSocket(isIpv6 ? "udp6" : "udp4");
      const listening = once(socket, "listening");
      socket.bind({ fd: bindUdpInNamespace(undefined, { address: isIpv6 ? "::" : "0.0.0.0", port: 0, mark }) });
      await listening;
      return socket;
    },
    tcp: async ({ address, port }) => streamDuplex(await connectTcp({ address, port, timeoutMs, mark })),
  };
}
