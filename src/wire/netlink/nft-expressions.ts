// Expressions of nf_tables rules (linux/netfilter/nf_tables.h), and common combinations of them.
import { userError } from "../../base/index.ts";
import { attribute, nested, u16be, u32, u32be } from "./attribute.ts";
import { ipFamilyOf, ipToBytes, type IpFamily } from "./ip-address.ts";

/**
 * One encoded expression. A rule is a list of expressions, which the kernel evaluates in order until one does not
 * match.
 */
export type NftExpression = Buffer & { readonly nftExpression?: never };
export type NftRulePart = NftExpression | readonly NftExpression[];

export type NftProtocol = "tcp" | "udp" | "sctp" | "icmp" | "icmpv6";
export type NftVerdict =
  | { readonly kind: "accept" | "drop" | "return" | "continue" }
  | { readonly kind: "jump" | "goto"; readonly chain: string };

const protocolNumbers: Readonly<Record<NftProtocol, number>> = { tcp: 6, udp: 17, sctp: 132, icmp: 1, icmpv6: 58 };
const familyNumbers: Readonly<Record<IpFamily, number>> = { ipv4: 2, ipv6: 10 };
const verdictCodes = { drop: 0, accept: 1, continue: -1, jump: -3, goto: -4, return: -5 } as const;
const comparisons = { equal: 0, notEqual: 1, less: 2, lessOrEqual: 3, greater: 4, greaterOrEqual: 5 } as const;
const metaKeys = {
  mark: 3,
  inputName: 6,
  outputName: 7,
  socketUid: 10,
  socketGid: 11,
  nfproto: 15,
  protocol: 16,
} as const;
const ctKeys = { state: 0, direction: 1, status: 2, mark: 3 } as const;
const ctStateBits = { invalid: 1, established: 2, related: 4, new: 8, untracked: 64 } as const;
const ctStatusBits = { snat: 16, dnat: 32 } as const;
const interfaceNameBytes = 16;

/**
 * Register 1 (16 bytes) is for single values. The registers from 8 on have 4 bytes each, and are for concatenations.
 */
const register = 1;
const firstSlot = 8;

function expression(name: string, ...parts: readonly Buffer[]): NftExpression {
  return nested(1, [attribute(1, name), nested(2, parts)]);
}

export function protocolNumber(protocol: NftProtocol): number {
  return protocolNumbers[protocol];
}

export function verdictData(verdict: NftVerdict): Buffer {
  const chain = "chain" in verdict ? [attribute(2, verdict.chain)] : [];
  return nested(2, [attribute(1, u32be(verdictCodes[verdict.kind])), ...chain]);
}

function loadMeta(key: number, into = register): NftExpression {
  return expression("meta", attribute(2, u32be(key)), attribute(1, u32be(into)));
}

function storeMeta(key: number): NftExpression {
  return expression("meta", attribute(2, u32be(key)), attribute(3, u32be(register)));
}

function loadCt(key: number): NftExpression {
  return expression("ct", attribute(2, u32be(key)), attribute(1, u32be(register)));
}

function storeCt(key: number): NftExpression {
  return expression("ct", attribute(2, u32be(key)), attribute(4, u32be(register)));
}

type PayloadBase = "network" | "transport";

function loadPayload(base: PayloadBase, offset: number, length: number, into = register): NftExpression {
  const baseNumber = base === "network" ? 1 : 2;
  return expression(
    "payload",
    attribute(1, u32be(into)),
    attribute(2, u32be(baseNumber)),
    attribute(3, u32be(offset)),
    attribute(4, u32be(length)),
  );
}

function compare(operation: keyof typeof comparisons, value: Uint8Array): NftExpression {
  return expression(
    "cmp",
    attribute(1, u32be(register)),
    attribute(2, u32be(comparisons[operation])),
    nested(3, [attribute(1, value)]),
  );
}

function mask(bytes: Uint8Array): NftExpression {
  return maskXor(bytes, Buffer.alloc(bytes.length));
}

function maskXor(maskBytes: Uint8Array, xorBytes: Uint8Array): NftExpression {
  return expression(
    "bitwise",
    attribute(1, u32be(register)),
    attribute(2, u32be(register)),
    attribute(3, u32be(maskBytes.length)),
    nested(4, [attribute(1, maskBytes)]),
    nested(5, [attribute(1, xorBytes)]),
  );
}

function immediate(value: Uint8Array, into = register): NftExpression {
  return expression("immediate", attribute(1, u32be(into)), nested(2, [attribute(1, value)]));
}

function lookupExpression(
  setName: string,
  setId: number | undefined,
  from: number,
  into: number | undefined,
  negate = false,
): NftExpression {
  return expression(
    "lookup",
    attribute(1, setName),
    attribute(2, u32be(from)),
    ...(into === undefined ? [] : [attribute(3, u32be(into))]),
    ...(setId === undefined ? [] : [attribute(4, u32be(setId))]),
    ...(negate ? [attribute(5, u32be(1))] : []),
  );
}

interface Negatable {
  /** Whether to match packets with another value. */
  readonly not?: boolean;
}

function equality(options: Negatable): "equal" | "notEqual" {
  return options.not === true ? "notEqual" : "equal";
}

function prefixMask(lengthBytes: number, prefixLength: number): Buffer {
  const out = Buffer.alloc(lengthBytes);
  for (let bit = 0; bit < prefixLength; bit += 1) out[bit >> 3] = (out[bit >> 3] ?? 0) | (0x80 >> (bit & 7));
  return out;
}

function parsePrefix(text: string): {
  readonly bytes: Buffer;
  readonly prefixLength: number;
  readonly family: IpFamily;
} {
  const [address = "", length] = text.split("/");
  const bytes = ipToBytes(address);
  const prefixLength = length === undefined ? bytes.length * 8 : Number(length);
  if (!Number.isInteger(prefixLength) || prefixLength < 0 || prefixLength > bytes.length * 8) {
    throw userError("address-invalid", `"${text}" is not an IP prefix`);
  }
  return { bytes, prefixLength, family: ipFamilyOf(address) };
}

const addressOffsets = { ipv4: { source: 12, destination: 16 }, ipv6: { source: 8, destination: 24 } } as const;

function matchAddress(end: "source" | "destination", prefix: string, options: Negatable): NftExpression[] {
  const { bytes, prefixLength, family } = parsePrefix(prefix);
  const bits = prefixMask(bytes.length, prefixLength);
  const network = bytes.map((byte, index) => byte & (bits[index] ?? 0));
  const masking = prefixLength === bytes.length * 8 ? [] : [mask(bits)];
  return [
    ...match.family(family),
    loadPayload("network", addressOffsets[family][end], bytes.length),
    ...masking,
    compare(equality(options), network),
  ];
}

function interfaceName(name: string): Buffer {
  const out = Buffer.alloc(interfaceNameBytes);
  out.write(name, 0, interfaceNameBytes - 1);
  return out;
}

/** Conditions of a rule. Before a condition on ports, the rule needs {@link match.protocol}. */
export const match = {
  family: (family: IpFamily): NftExpression[] => [
    loadMeta(metaKeys.nfproto),
    compare("equal", Buffer.from([familyNumbers[family]])),
  ],
  protocol: (protocol: NftProtocol): NftExpression[] => [
    loadMeta(metaKeys.protocol),
    compare("equal", Buffer.from([protocolNumbers[protocol]])),
  ],
  sourcePort: (port: number, options: Negatable = {}): NftExpression[] => [
    loadPayload("transport", 0, 2),
    compare(equality(options), u16be(port)),
  ],
  destinationPort: (port: number, options: Negatable = {}): NftExpression[] => [
    loadPayload("transport", 2, 2),
    compare(equality(options), u16be(port)),
  ],
  /** A range of ports. The kernel compares bytes, which are in network order. */
  destinationPorts: (first: number, last: number): NftExpression[] => [
    loadPayload("transport", 2, 2),
    compare("greaterOrEqual", u16be(first)),
    compare("lessOrEqual", u16be(last)),
  ],
  /**
   * The first packet of a TCP connection (SYN without ACK). It never matches a connection that was opened before
   * tracking began. Before it, the rule needs {@link match.protocol}.
   */
  connectionStart: (options: Negatable = {}): NftExpression[] => [
    loadPayload("transport", 13, 1),
    mask(Buffer.from([0x17])),
    compare(equality(options), Buffer.from([0x02])),
  ],
  /** An address or prefix of either family. It matches only packets of its own family, even with `not`. */
  source: (prefix: string, options: Negatable = {}): NftExpression[] => matchAddress("source", prefix, options),
  destination: (prefix: string, options: Negatable = {}): NftExpression[] =>
    matchAddress("destination", prefix, options),
  mark: (value: number, maskBits: number, options: Negatable = {}): NftExpression[] => [
    loadMeta(metaKeys.mark),
    mask(u32(maskBits)),
    compare(equality(options), u32(value)),
  ],
  connectionMark: (value: number, maskBits: number, options: Negatable = {}): NftExpression[] => [
    loadCt(ctKeys.mark),
    mask(u32(maskBits)),
    compare(equality(options), u32(value)),
  ],
  connectionState: (...states: readonly (keyof typeof ctStateBits)[]): NftExpression[] => [
    loadCt(ctKeys.state),
    mask(u32(states.reduce((bits, state) => bits | ctStateBits[state], 0))),
    compare("notEqual", u32(0)),
  ],
  /** Packets from the side that opened the connection, including the first one. */
  fromOpener: (): NftExpression[] => [loadCt(ctKeys.direction), compare("equal", Buffer.from([0]))],
  /** Packets of connections whose source or destination address was translated. */
  connectionStatus: (status: keyof typeof ctStatusBits): NftExpression[] => [
    loadCt(ctKeys.status),
    mask(u32(ctStatusBits[status])),
    compare("notEqual", u32(0)),
  ],
  inputInterface: (name: string, options: Negatable = {}): NftExpression[] => [
    loadMeta(metaKeys.inputName),
    compare(equality(options), interfaceName(name)),
  ],
  outputInterface: (name: string, options: Negatable = {}): NftExpression[] => [
    loadMeta(metaKeys.outputName),
    compare(equality(options), interfaceName(name)),
  ],
  /** Packets that a socket of this host has sent. Forwarded packets have no such socket. */
  fromLocalSocket: (): NftExpression[] => [loadMeta(metaKeys.socketUid)],
  socketUid: (uid: number): NftExpression[] => [loadMeta(metaKeys.socketUid), compare("equal", u32(uid))],
  socketGid: (gid: number): NftExpression[] => [loadMeta(metaKeys.socketGid), compare("equal", u32(gid))],
  /** Packets to an address of this namespace. */
  destinationIsLocal: (): NftExpression[] => [
    expression("fib", attribute(1, u32be(register)), attribute(2, u32be(3)), attribute(3, u32be(2))),
    compare("equal", u32(2)),
  ],
  sourceInSet: (setName: string, family: IpFamily, options: Negatable = {}): NftExpression[] => [
    ...match.family(family),
    loadPayload("network", addressOffsets[family].source, family === "ipv4" ? 4 : 16),
    lookupExpression(setName, undefined, register, undefined, options.not === true),
  ],
  destinationInSet: (setName: string, family: IpFamily, options: Negatable = {}): NftExpression[] => [
    ...match.family(family),
    loadPayload("network", addressOffsets[family].destination, family === "ipv4" ? 4 : 16),
    lookupExpression(setName, undefined, register, undefined, options.not === true),
  ],
  /** A random share of the packets, from 0 to 1. It causes faults in tests. */
  randomly: (share: number): NftExpression[] => [
    expression(
      "numgen",
      attribute(1, u32be(register)),
      attribute(2, u32be(10_000)),
      attribute(3, u32be(1)),
      attribute(4, u32be(0)),
    ),
    // Convert the random number from host order to network order, because cmp compares bytes.
    expression(
      "byteorder",
      attribute(1, u32be(register)),
      attribute(2, u32be(register)),
      attribute(3, u32be(1)),
      attribute(4, u32be(4)),
      attribute(5, u32be(4)),
    ),
    compare("less", u32be(Math.round(share * 10_000))),
  ],
} as const;

function natAddress(type: 0 | 1, address: string, port: number | undefined): NftExpression[] {
  const family = ipFamilyOf(address);
  const portSlot = firstSlot + 4;
  const parts = [attribute(1, u32be(type)), attribute(2, u32be(familyNumbers[family])), attribute(3, u32be(firstSlot))];
  if (port === undefined) return [immediate(ipToBytes(address), firstSlot), expression("nat", ...parts)];
  return [
    immediate(ipToBytes(address), firstSlot),
    immediate(u16be(port), portSlot),
    expression("nat", ...parts, attribute(5, u32be(portSlot))),
  ];
}

/** What a rule does. A verdict ends the rule. */
export const action = {
  verdict: (verdict: NftVerdict): NftExpression =>
    expression("immediate", attribute(1, u32be(0)), nested(2, [verdictData(verdict)])),
  accept: (): NftExpression => action.verdict({ kind: "accept" }),
  drop: (): NftExpression => action.verdict({ kind: "drop" }),
  return: (): NftExpression => action.verdict({ kind: "return" }),
  jump: (chain: string): NftExpression => action.verdict({ kind: "jump", chain }),
  goto: (chain: string): NftExpression => action.verdict({ kind: "goto", chain }),
  counter: (): NftExpression => expression("counter", attribute(1, Buffer.alloc(8)), attribute(2, Buffer.alloc(8))),
  /** Redirects the packet to a port of this namespace. */
  redirect: (port: number): NftExpression[] => [
    immediate(u16be(port)),
    expression("redir", attribute(1, u32be(register)), attribute(2, u32be(register))),
  ],
  /**
   * Gives the packet, with unchanged addresses, to the transparent socket of its connection, or else to the transparent
   * socket that listens on this port of the namespace. If there is neither, the rule does not match.
   */
  transparentProxy: (port: number): NftExpression[] => [
    immediate(u16be(port)),
    // Family 0 means IPv4 and IPv6.
    expression("tproxy", attribute(1, u32be(0)), attribute(3, u32be(register))),
  ],
  dnat: (address: string, port?: number): NftExpression[] => natAddress(1, address, port),
  snat: (address: string): NftExpression[] => natAddress(0, address, undefined),
  masquerade: (): NftExpression => expression("masq"),
  /** Sets the bits of `maskBits` to those of `value`, and keeps all others. */
  setMark: (value: number, maskBits = 0xffffffff): NftExpression[] =>
    maskBits === 0xffffffff
      ? [immediate(u32(value)), storeMeta(metaKeys.mark)]
      : [loadMeta(metaKeys.mark), maskXor(u32(~maskBits), u32(value & maskBits)), storeMeta(metaKeys.mark)],
  setConnectionMark: (value: number, maskBits = 0xffffffff): NftExpression[] =>
    maskBits === 0xffffffff
      ? [immediate(u32(value)), storeCt(ctKeys.mark)]
      : [loadCt(ctKeys.mark), maskXor(u32(~maskBits), u32(value & maskBits)), storeCt(ctKeys.mark)],
  /** Copies the connection's mark to the packet. */
  restoreMark: (): NftExpression[] => [loadCt(ctKeys.mark), storeMeta(metaKeys.mark)],
  rejectWithReset: (): NftExpression => expression("reject", attribute(1, u32be(1)), attribute(2, Buffer.from([0]))),
  /** Rejects the packet with "port unreachable" of ICMP or ICMPv6, whichever its family needs. */
  rejectUnreachable: (): NftExpression => expression("reject", attribute(1, u32be(2)), attribute(2, Buffer.from([1]))),
  /** Applies the verdict of a map `address . protocol . port -> verdict`. If the map has none, the rule continues. */
  serviceVerdict: (mapName: string, family: IpFamily): NftExpression[] => {
    const addressBytes = family === "ipv4" ? 4 : 16;
    const protocolSlot = firstSlot + addressBytes / 4;
    return [
      ...match.family(family),
      loadPayload("network", addressOffsets[family].destination, addressBytes, firstSlot),
      loadMeta(metaKeys.protocol, protocolSlot),
      loadPayload("transport", 2, 2, protocolSlot + 1),
      lookupExpression(mapName, undefined, firstSlot, 0),
    ];
  },
  /** Applies the verdict of a map `protocol . port -> verdict`, for node ports. */
  nodePortVerdict: (mapName: string): NftExpression[] => [
    loadMeta(metaKeys.protocol, firstSlot),
    loadPayload("transport", 2, 2, firstSlot + 1),
    lookupExpression(mapName, undefined, firstSlot, 0),
  ],
  /** Adds the source address to a set with timeouts, or renews its timeout. Client affinity uses the set. */
  rememberSource: (setName: string, family: IpFamily, timeoutMs: number): NftExpression[] => {
    const timeout = Buffer.alloc(8);
    timeout.writeBigUInt64BE(BigInt(timeoutMs));
    return [
      loadPayload("network", addressOffsets[family].source, family === "ipv4" ? 4 : 16),
      expression(
        "dynset",
        attribute(1, setName),
        attribute(3, u32be(1)),
        attribute(4, u32be(register)),
        attribute(6, timeout),
      ),
    ];
  },
} as const;

/** `numgen random mod N map { 0 : address . port, … }`, and the translation to the result. */
export function dnatByRandomMap(mapName: string, mapId: number, count: number, family: IpFamily): NftExpression[] {
  const portSlot = firstSlot + (family === "ipv4" ? 1 : 4);
  return [
    expression(
      "numgen",
      attribute(1, u32be(register)),
      attribute(2, u32be(count)),
      attribute(3, u32be(1)),
      attribute(4, u32be(0)),
    ),
    lookupExpression(mapName, mapId, register, firstSlot),
    expression(
      "nat",
      attribute(1, u32be(1)),
      attribute(2, u32be(familyNumbers[family])),
      attribute(3, u32be(firstSlot)),
      attribute(5, u32be(portSlot)),
    ),
  ];
}
