import { isIPv4, isIPv6 } from "node:net";
import { bytesToIp, ipToBytes, type SocketAddress } from "../../net/index.ts";
import { startsAlike } from "./starts-alike.ts";

/** The PROXY header (version 1 or 2) at the start of a connection, or why there is none. */
export type ProxyHeader =
  | { readonly kind: "incomplete" }
  | { readonly kind: "none" }
  /** The bytes begin like a PROXY header, but it is invalid. */
  | { readonly kind: "bad" }
  /** The header has `length` bytes. Its addresses are undefined if it names no client (LOCAL, UNKNOWN). */
  | {
      readonly kind: "header";
      readonly version: 1 | 2;
      readonly length: number;
      readonly remote: SocketAddress | undefined;
      readonly local: SocketAddress | undefined;
    };

const signature = Buffer.from([0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]);
const textPrefix = Buffer.from("PROXY ");
const maxTextBytes = 107;
const fixedBytes = 16;
/** The maximum length of a header. Version 2 has a length field of two bytes. */
export const maxProxyHeaderBytes = fixedBytes + 0xffff;

const incomplete: ProxyHeader = { kind: "incomplete" };
const none: ProxyHeader = { kind: "none" };
const bad: ProxyHeader = { kind: "bad" };

export function parseProxyHeader(bytes: Buffer): ProxyHeader {
  if (startsAlike(bytes, signature)) return bytes.length < fixedBytes ? incomplete : parseBinary(bytes);
  if (startsAlike(bytes, textPrefix)) return parseText(bytes);
  return none;
}

function parseText(bytes: Buffer): ProxyHeader {
  const end = bytes.subarray(0, maxTextBytes).indexOf("\r\n");
  if (end < 0) return bytes.length < maxTextBytes ? incomplete : bad;
  const parts = bytes.toString("latin1", 0, end).split(" ");
  const [, family, source = "", target = "", sourcePort = "", targetPort = ""] = parts;
  const length = end + 2;
  if (family === "UNKNOWN") return { kind: "header", version: 1, length, remote: undefined, local: undefined };
  const isAddress = family === "TCP4" ? isIPv4 : family === "TCP6" ? isPlainIpv6 : undefined;
  // Accept only addresses and ports, because the values go into request headers and logs.
  if (
    parts.length !== 6 ||
    isAddress === undefined ||
    !isAddress(source) ||
    !isAddress(target) ||
    !isPort(sourcePort) ||
    !isPort(targetPort)
  )
    return bad;
  return {
    kind: "header",
    version: 1,
    length,
    remote: { address: plainForm(source), port: Number(sourcePort) },
    local: { address: plainForm(target), port: Number(targetPort) },
  };
}

/**
 * Whether a text is an IPv6 address without a zone. A zone's name may be any text, and means nothing on another host.
 */
function isPlainIpv6(text: string): boolean {
  return isIPv6(text) && !text.includes("%");
}

/** An address in the form in which addresses are compared: IPv6 in its short form, and IPv4-mapped IPv6 as IPv4. */
function plainForm(address: string): string {
  return bytesToIp(ipToBytes(address));
}

function isPort(text: string): boolean {
  return /^\d{1,5}$/.test(text) && Number(text) <= 0xffff;
}

const commands = { local: 0, proxy: 1 } as const;
const stream = 1;

function parseBinary(bytes: Buffer): ProxyHeader {
  const versionAndCommand = bytes[12] ?? 0;
  const command = versionAndCommand & 15;
  const family = (bytes[13] ?? 0) >> 4;
  const transport = (bytes[13] ?? 0) & 15;
  const length = fixedBytes + bytes.readUInt16BE(14);
  if (versionAndCommand >> 4 !== 2 || (command !== commands.local && command !== commands.proxy)) return bad;
  if (bytes.length < length) return incomplete;
  const size = family === 1 ? 4 : family === 2 ? 16 : 0;
  if (command === commands.local || size === 0)
    return { kind: "header", version: 2, length, remote: undefined, local: undefined };
  if (transport !== stream || length < fixedBytes + 2 * size + 4) return bad;
  const ports = fixedBytes + 2 * size;
  return {
    kind: "header",
    version: 2,
    length,
    remote: { address: bytesToIp(bytes.subarray(fixedBytes, fixedBytes + size)), port: bytes.readUInt16BE(ports) },
    local: { address: bytesToIp(bytes.subarray(fixedBytes + size, ports)), port: bytes.readUInt16BE(ports + 2) },
  };
}
