// Messages of connection tracking (linux/netfilter/nfnetlink_conntrack.h).
import { nested, netlinkFlags, netlinkMessage, readAttributes } from "./attribute.ts";
import { protocolNumber } from "./nft-expressions.ts";

const subsystem = 1;
const operations = { get: 1, delete: 2 } as const;
const attributes = { originalTuple: 1, replyTuple: 2, zone: 18 } as const;
const tupleAttributes = { protocol: 2 } as const;
const protocolAttributes = { number: 1, sourcePort: 2, destinationPort: 3 } as const;
/** The header `nfgenmsg`: family, version, resource. */
const headerBytes = 4;

/** An entry of UDP that the kernel translates to another port. */
export interface TranslatedDatagrams {
  readonly family: number;
  /** The original tuple in the kernel's encoding. It identifies the entry. */
  readonly tuple: Buffer;
  readonly destinationPort: number;
  /** The port that gets the datagrams. */
  readonly translatedPort: number;
}

export function listConntrackMessage(): Buffer {
  return netlinkMessage((subsystem << 8) | operations.get, netlinkFlags.dump, Buffer.from([0, 0, 0, 0]));
}

export function deleteConntrackMessage({ family, tuple }: TranslatedDatagrams): Buffer {
  return netlinkMessage(
    (subsystem << 8) | operations.delete,
    netlinkFlags.acknowledge,
    Buffer.from([family, 0, 0, 0]),
    nested(attributes.originalTuple, [tuple]),
  );
}

/** Reads an entry of a list. Undefined for other protocols, without a translation, and for malformed bytes. */
export function readTranslatedDatagrams(payload: Buffer): TranslatedDatagrams | undefined {
  const entry = readAttributes(payload.subarray(headerBytes));
  const tuple = entry.get(attributes.originalTuple);
  const reply = entry.get(attributes.replyTuple);
  // Entries of a zone belong to others.
  if (tuple === undefined || reply === undefined || entry.has(attributes.zone)) return undefined;
  const destinationPort = udpPort(tuple, protocolAttributes.destinationPort);
  const translatedPort = udpPort(reply, protocolAttributes.sourcePort);
  if (destinationPort === undefined || translatedPort === undefined || destinationPort === translatedPort)
    return undefined;
  return { family: payload[0] ?? 0, tuple, destinationPort, translatedPort };
}

function udpPort(tuple: Buffer, which: number): number | undefined {
  const protocol = readAttributes(readAttributes(tuple).get(tupleAttributes.protocol) ?? Buffer.alloc(0));
  if (protocol.get(protocolAttributes.number)?.[0] !== protocolNumber("udp")) return undefined;
  const port = protocol.get(which);
  return port?.length === 2 ? port.readUInt16BE(0) : undefined;
}
