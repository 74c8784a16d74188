// What all netlink messages consist of (linux/netlink.h): headers, attributes, and integers in the host's
// (little-endian) or the network's byte order.

export const netlinkFlags = {
  request: 1,
  acknowledge: 4,
  dump: 0x300,
  /** Makes the kernel refuse to replace an existing object. */
  exclusive: 0x200,
  replace: 0x100,
  create: 0x400,
  append: 0x800,
} as const;

export const netlinkTypes = { noop: 1, error: 2, done: 3 } as const;

const netlinkHeaderBytes = 16;

const nestedFlag = 0x8000;
const attributeTypeMask = 0x3fff;

/** The length rounded up to a multiple of four, as netlink aligns messages and attributes. */
export function align4(length: number): number {
  return (length + 3) & ~3;
}

export function u32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}

export function u32be(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

export function u16be(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

/** Encodes an attribute. A string gets a zero byte at its end. */
export function attribute(type: number, value: Uint8Array | string): Buffer {
  const data = typeof value === "string" ? Buffer.from(`${value}\0`) : value;
  const out = Buffer.alloc(align4(4 + data.length));
  out.writeUInt16LE(4 + data.length, 0);
  out.writeUInt16LE(type, 2);
  out.set(data, 4);
  return out;
}

/**
 * An attribute of attributes. `flagged` sets NLA_F_NESTED. nf_tables requires it, and old versions of rtnetlink refuse
 * it.
 */
export function nested(type: number, parts: readonly Uint8Array[], flagged = true): Buffer {
  return attribute(flagged ? type | nestedFlag : type, Buffer.concat(parts));
}

/** A complete message. The socket writes the sequence number to offset 8 when it sends the message. */
export function netlinkMessage(type: number, flags: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  const out = Buffer.alloc(netlinkHeaderBytes + body.length);
  out.writeUInt32LE(out.length, 0);
  out.writeUInt16LE(type, 4);
  out.writeUInt16LE(flags | netlinkFlags.request, 6);
  body.copy(out, netlinkHeaderBytes);
  return out;
}

export interface NetlinkReply {
  readonly type: number;
  readonly sequence: number;
  /** What follows the header. */
  readonly payload: Buffer;
}

/** Splits what one receive returned into messages. Drops an incomplete one at the end. */
export function* splitReplies(datagram: Buffer): Generator<NetlinkReply> {
  let offset = 0;
  while (offset + netlinkHeaderBytes <= datagram.length) {
    const length = datagram.readUInt32LE(offset);
    if (length < netlinkHeaderBytes || offset + length > datagram.length) return;
    yield {
      type: datagram.readUInt16LE(offset + 4),
      sequence: datagram.readUInt32LE(offset + 8),
      payload: datagram.subarray(offset + netlinkHeaderBytes, offset + length),
    };
    offset += align4(length);
  }
}

/** The attributes by type. If a type is repeated, the last one counts. */
export function readAttributes(bytes: Buffer): Map<number, Buffer> {
  const found = new Map<number, Buffer>();
  let offset = 0;
  while (offset + 4 <= bytes.length) {
    const length = bytes.readUInt16LE(offset);
    if (length < 4 || offset + length > bytes.length) break;
    found.set(bytes.readUInt16LE(offset + 2) & attributeTypeMask, bytes.subarray(offset + 4, offset + length));
    offset += align4(length);
  }
  return found;
}

/** The text of a string that a zero byte ends. */
export function readString(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString("utf8", 0, end === -1 ? bytes.length : end);
}
