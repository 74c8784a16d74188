import type { SocketAddress } from "../../net/index.ts";

/** A PROXY header (version 1 or 2) at the start of a connection. */
export type ProxyHeader =
  | { readonly kind: "incomplete" }
  | { readonly kind: "none" }
  /** It takes `length` bytes; the addresses are undefined when it speaks for nobody (LOCAL, UNKNOWN). */
  | { readonly kind: "header"; readonly length: number; readonly remote: SocketAddress | undefined; readonly local: SocketAddress | undefined };

const signature = Buffer.from([0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]);
const textPrefix = Buffer.from("PROXY ");
const maxTextBytes = 107;
const fixedBytes = 16;

const incomplete: ProxyHeader = { kind: "incomplete" };
const none: ProxyHeader = { kind: "none" };

export function parseProxyHeader(bytes: Buffer): ProxyHeader {
  if (startsAlike(bytes, signature)) return bytes.length < fixedBytes ? incomplete : parseBinary(bytes);
  if (startsAlike(bytes, textPrefix)) return parseText(bytes);
  return none;
}

function startsAlike(bytes: Buffer, prefix: Buffer): boolean {
  const length = Math.min(bytes.length, prefix.length);
  return bytes.compare(prefix, 0, length, 0, length) === 0;
}

function parseText(bytes: Buffer): ProxyHeader {
  const end = bytes.indexOf("\r\n");
  if (end < 0) return bytes.length < maxTextBytes ? incomplete : none;
  const [, family, source, target, sourcePort, targetPort] = bytes.toString("latin1", 0, end).split(" ");
  const length = end + 2;
  if (family === "UNKNOWN") return { kind: "header", length, remote: undefined, local: undefined };
  if ((family !== "TCP4" && family !== "TCP6") || source === undefined || target === undefined) return none;
  return { kind: "header", length, remote: { address: source, port: Number(sourcePort) }, local: { address: target, port: Number(targetPort) } };
}

function parseBinary(bytes: Buffer): ProxyHeader {
  const command = bytes[12] ?? 0;
  const family = (bytes[13] ?? 0) >> 4;
  const length = fixedBytes + bytes.readUInt16BE(14);
  if (command >> 4 !== 2) return none;
  if (bytes.length < length) return incomplete;
  const nobody: ProxyHeader = { kind: "header", length, remote: undefined, local: undefined };
  if ((command & 15) === 0) return nobody;
  const size = family === 1 ? 4 : family === 2 ? 16 : 0;
  if (size === 0 || length < fixedBytes + 2 * size + 4) return nobody;
  const ports = fixedBytes + 2 * size;
  return {
    kind: "header",
    length,
    remote: { address: addressText(bytes.subarray(fixedBytes, fixedBytes + size)), port: bytes.readUInt16BE(ports) },
    local: { address: addressText(bytes.subarray(fixedBytes + size, ports)), port: bytes.readUInt16BE(ports + 2) },
  };
}

function addressText(bytes: Buffer): string {
  if (bytes.length === 4) return [...bytes].join(".");
  return Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16)).join(":");
}
