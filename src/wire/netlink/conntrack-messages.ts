// Messages of connection tracking (linux/netfilter/nfnetlink_conntrack.h).
import { attribute, nested, netlinkFlags, netlinkMessage, readAttributes, u32be } from "./attribute.ts";
import { bytesToIp } from "./ip-address.ts";
import { protocolNumber } from "./nft-expressions.ts";

const subsystem = 1;
const operations = { get: 1, delete: 2 } as const;
const attributes = { originalTuple: 1, replyTuple: 2, status: 3, zone: 18, statusMask: 26 } as const;
const tupleAttributes = { address: 1, protocol: 2 } as const;
const addressAttributes = { sourceIpv4: 1, sourceIpv6: 3 } as const;
const protocolAttributes = { number: 1, sourcePort: 2, destinationPort: 3 } as const;
/** Bits of `enum ip_conntrack_status`. */
const statusBits = { answered: 1 << 1, destinationTranslated: 1 << 5 } as const;
/** The header `nfgenmsg`: family, version, resource. */
const headerBytes = 4;

/** What identifies an entry. */
export interface TrackedEntry {
  readonly family: number;
  /** The tuple of the original direction, in the kernel's encoding. */
  readonly tuple: Buffer;
}

/** An entry of UDP whose datagrams the kernel sends to another port. */
export interface TranslatedDatagrams extends TrackedEntry {
  readonly destinationPort: number;
  /** The port to which the kernel sends them. */
  readonly translatedPort: number;
}

/** Lists the entries whose destination is translated. Before Linux 5.15 it lists all entries. */
export function listTranslatedMessage(): Buffer {
  return listMessage(statusBits.destinationTranslated);
}

/**
 * Lists the entries whose destination is translated and that have no answer yet. Before Linux 5.15 it lists all
 * entries.
 */
export function listUnansweredMessage(): Buffer {
  return listMessage(statusBits.answered | statusBits.destinationTranslated);
}

/** Lists the entries of which, among the bits of the mask, only that of a translated destination is set. */
function listMessage(mask: number): Buffer {
  return netlinkMessage(
    (subsystem << 8) | operations.get,
    netlinkFlags.dump,
    Buffer.from([0, 0, 0, 0]),
    attribute(attributes.status, u32be(statusBits.destinationTranslated)),
    attribute(attributes.statusMask, u32be(mask)),
  );
}

export function deleteConntrackMessage({ family, tuple }: TrackedEntry): Buffer {
  return netlinkMessage(
    (subsystem << 8) | operations.delete,
    netlinkFlags.acknowledge,
    Buffer.from([family, 0, 0, 0]),
    nested(attributes.originalTuple, [tuple]),
  );
}

/** Reads an entry of a list. Undefined for another protocol, for an untranslated port, and for malformed bytes. */
export function readTranslatedDatagrams(payload: Buffer): TranslatedDatagrams | undefined {
  const entry = readAttributes(payload.subarray(headerBytes));
  const tuple = entry.get(attributes.originalTuple);
  const reply = entry.get(attributes.replyTuple);
  // An entry with a zone belongs to another program.
  if (tuple === undefined || reply === undefined || entry.has(attributes.zone)) return undefined;
  const destinationPort = portOf("udp", tuple, protocolAttributes.destinationPort);
  const translatedPort = portOf("udp", reply, protocolAttributes.sourcePort);
  if (destinationPort === undefined || translatedPort === undefined || destinationPort === translatedPort)
    return undefined;
  return { family: payload[0] ?? 0, tuple, destinationPort, translatedPort };
}

/** A TCP connect to a translated destination, without an answer so far. */
export interface UnansweredConnect extends TrackedEntry {
  /** The translated destination, as `address:port`. */
  readonly endpoint: string;
}

/** Reads an entry of a list. Undefined for any other entry, and for malformed bytes. */
export function readUnansweredConnect(payload: Buffer): UnansweredConnect | undefined {
  const entry = readAttributes(payload.subarray(headerBytes));
  const bits = entry.get(attributes.status);
  if (bits?.length !== 4 || entry.has(attributes.zone)) return undefined;
  const { answered, destinationTranslated } = statusBits;
  if ((bits.readUInt32BE(0) & (answered | destinationTranslated)) !== destinationTranslated) return undefined;
  const tuple = entry.get(attributes.originalTuple);
  const reply = entry.get(attributes.replyTuple);
  if (tuple === undefined || reply === undefined) return undefined;
  const port = portOf("tcp", reply, protocolAttributes.sourcePort);
  const addresses = readAttributes(readAttributes(reply).get(tupleAttributes.address) ?? Buffer.alloc(0));
  const address = addresses.get(addressAttributes.sourceIpv4) ?? addresses.get(addressAttributes.sourceIpv6);
  if (port === undefined || (address?.length !== 4 && address?.length !== 16)) return undefined;
  return { family: payload[0] ?? 0, tuple, endpoint: `${bytesToIp(address)}:${port}` };
}

function portOf(protocol: "tcp" | "udp", tuple: Buffer, which: number): number | undefined {
  const found = readAttributes(readAttributes(tuple).get(tupleAttributes.protocol) ?? Buffer.alloc(0));
  if (found.get(protocolAttributes.number)?.[0] !== protocolNumber(protocol)) return undefined;
  const port = found.get(which);
  return port?.length === 2 ? port.readUInt16BE(0) : undefined;
}
