import { createSocket, type Socket } from "node:dgram";
import { connect, isIPv6 } from "node:net";
import type { Duplex } from "node:stream";

export interface NameServer {
  readonly address: string;
  readonly port: number;
}

export interface DnsSockets {
  /** Opens a socket for one query, with its own port. */
  udp(server: NameServer): Promise<Socket>;
  /** Opens a connection for one query. It may still be connecting when this resolves. */
  tcp(server: NameServer): Promise<Duplex>;
}

export const plainDnsSockets: DnsSockets = {
  udp: ({ address }) => Promise.resolve(createSocket(isIPv6(address) ? "udp6" : "udp4")),
  tcp: ({ address, port }) => Promise.resolve(connect(port, address)),
};
