import { ipToBytes, type SocketAddress } from "../net/index.ts";

const signature = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
const version2Proxy = 0x21;
const version2Local = 0x20;
const tcpOver4 = 0x11;
const tcpOver6 = 0x21;
/** Istio's TLV type for the source's SPIFFE id. */
const identityType = 0xd0;

const mappedPrefix = Buffer.from("00000000000000000000ffff", "hex");

/** Returns a PROXY protocol header, version 1. If one address is IPv6, an IPv4 address is written as IPv4-mapped. */
export function proxyHeaderText(source: SocketAddress, destination: SocketAddress): Buffer {
  const ipv6 = source.address.includes(":") || destination.address.includes(":");
  const address = (end: SocketAddress): string =>
    ipv6 && !end.address.includes(":") ? `::ffff:${end.address}` : end.address;
  return Buffer.from(
    `PROXY ${ipv6 ? "TCP6" : "TCP4"} ${address(source)} ${address(destination)} ${source.port} ${destination.port}\r\n`,
    "latin1",
  );
}

/** Returns a PROXY protocol header, version 2, for a connection that the proxy opens on its own behalf (LOCAL). */
export function localProxyHeader(): Buffer {
  return Buffer.concat([signature, Buffer.from([version2Local, 0, 0, 0])]);
}

/**
 * Returns a PROXY protocol header, version 2. It names the client of a tunnel to an application that is itself a proxy.
 * `identity` is the client's SPIFFE id, or empty.
 */
export function proxyHeader(source: SocketAddress, destination: SocketAddress, identity: string): Buffer {
  const ipv6 = source.address.includes(":") || destination.address.includes(":");
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(source.port, 0);
  ports.writeUInt16BE(destination.port, 2);
  const id = Buffer.from(identity, "utf8");
  const field = Buffer.alloc(identity === "" ? 0 : 3);
  if (field.length > 0) {
    field.writeUInt8(identityType, 0);
    field.writeUInt16BE(id.length, 1);
  }
  const body = Buffer.concat([addressOf(source, ipv6), addressOf(destination, ipv6), ports, field, id]);
  const head = Buffer.alloc(4);
  head.writeUInt8(version2Proxy, 0);
  head.writeUInt8(ipv6 ? tcpOver6 : tcpOver4, 1);
  head.writeUInt16BE(body.length, 2);
  return Buffer.concat([signature, head, body]);
}

function addressOf({ address }: SocketAddress, ipv6: boolean): Uint8Array {
  const bytes = ipToBytes(address);
  return ipv6 && bytes.length === mappedPrefix.length / 3 ? Buffer.concat([mappedPrefix, bytes]) : bytes;
}
