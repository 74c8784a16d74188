// Messages of rtnetlink (linux/rtnetlink.h, if_link.h, neighbour.h, fib_rules.h). `net` has the socket.
import { attribute, nested, netlinkFlags, netlinkMessage, readAttributes, readString, u32 } from "./attribute.ts";
import { bytesToIp, ipFamilyOf, ipToBytes } from "./ip-address.ts";

const messageTypes = {
  newLink: 16,
  deleteLink: 17,
  getLink: 18,
  newAddress: 20,
  deleteAddress: 21,
  getAddress: 22,
  newRoute: 24,
  deleteRoute: 25,
  newNeighbour: 28,
  deleteNeighbour: 29,
  newRule: 32,
  deleteRule: 33,
} as const;
const familyNumbers = { ipv4: 2, ipv6: 10 } as const;
const linkUp = 1;
const createNew = netlinkFlags.create | netlinkFlags.exclusive;

export interface LinkChange {
  readonly up?: boolean;
  readonly name?: string;
  /** The index of the bridge to join. 0 leaves the bridge. */
  readonly masterIndex?: number;
  readonly mtuBytes?: number;
  /** The descriptor of the namespace to which the link moves. */
  readonly namespaceFd?: number;
  /** It must have six bytes. */
  readonly macAddress?: Uint8Array;
}

export interface BridgeLink {
  readonly name: string;
  /** The index for the interface. If absent, the kernel chooses one. */
  readonly index?: number;
  readonly macAddress?: Uint8Array;
}

export interface VethLink extends BridgeLink {
  readonly masterIndex?: number;
  readonly mtuBytes?: number;
  readonly peer: {
    readonly name: string;
    readonly index?: number;
    readonly macAddress?: Uint8Array;
    /** The namespace for the peer. The peer stays down until somebody sets it up. */
    readonly namespaceFd?: number;
  };
}

export interface IpPrefix {
  readonly address: string;
  readonly prefixLength: number;
}

export interface RouteSpec {
  /** `0.0.0.0` or `::` with length 0 is the default route. */
  readonly destination: IpPrefix;
  readonly gateway?: string;
  readonly linkIndex?: number;
  readonly sourceAddress?: string;
  /** 254 (`main`) if absent. */
  readonly table?: number;
  readonly type?: "unicast" | "local" | "blackhole" | "unreachable";
  /** Whether to use the gateway as a neighbour on the link, even if no route says that it is one. */
  readonly onLink?: boolean;
  /** Whether to replace a route to the same destination. Otherwise the kernel refuses the new one with EEXIST. */
  readonly replace?: boolean;
}

export interface RuleSpec {
  readonly family: "ipv4" | "ipv6";
  readonly priority: number;
  readonly table: number;
  readonly mark?: number;
  readonly markMask?: number;
}

export interface LinkInfo {
  readonly index: number;
  readonly name: string;
  readonly up: boolean;
  readonly macAddress: string | undefined;
}

export interface AddressInfo extends IpPrefix {
  readonly linkIndex: number;
}

function linkHeader(index: number, flags = 0, change = 0): Buffer {
  const out = Buffer.alloc(16);
  out.writeInt32LE(index, 4);
  out.writeUInt32LE(flags, 8);
  out.writeUInt32LE(change, 12);
  return out;
}

/** Encodes the attributes that have a value. */
function optional(...pairs: readonly (readonly [number, Uint8Array | string | undefined])[]): Buffer[] {
  const out: Buffer[] = [];
  for (const [type, value] of pairs) if (value !== undefined) out.push(attribute(type, value));
  return out;
}

function maybeU32(value: number | undefined): Buffer | undefined {
  return value === undefined ? undefined : u32(value);
}

/** Changes the given fields of a link. */
export function setLinkMessage(index: number, change: LinkChange): Buffer {
  const header = change.up === undefined ? linkHeader(index) : linkHeader(index, change.up ? linkUp : 0, linkUp);
  return netlinkMessage(
    messageTypes.newLink,
    0,
    header,
    ...optional(
      [1, change.macAddress],
      [3, change.name],
      [4, maybeU32(change.mtuBytes)],
      [10, maybeU32(change.masterIndex)],
      [28, maybeU32(change.namespaceFd)],
    ),
  );
}

export function deleteLinkMessage(name: string): Buffer {
  return netlinkMessage(messageTypes.deleteLink, 0, linkHeader(0), attribute(3, name));
}

/** Adds a bridge, which is up at once. */
export function addBridgeMessage(link: BridgeLink): Buffer {
  return netlinkMessage(
    messageTypes.newLink,
    createNew,
    linkHeader(link.index ?? 0, linkUp, linkUp),
    ...optional([1, link.macAddress], [3, link.name]),
    nested(18, [attribute(1, "bridge")], false),
  );
}

/** Adds a veth pair. This end is up at once, and the peer is down. */
export function addVethMessage(link: VethLink): Buffer {
  const { peer } = link;
  const peerPart = nested(
    1,
    [
      linkHeader(peer.index ?? 0),
      ...optional([1, peer.macAddress], [3, peer.name], [4, maybeU32(link.mtuBytes)], [28, maybeU32(peer.namespaceFd)]),
    ],
    false,
  );
  return netlinkMessage(
    messageTypes.newLink,
    createNew,
    linkHeader(link.index ?? 0, linkUp, linkUp),
    ...optional([1, link.macAddress], [3, link.name], [4, maybeU32(link.mtuBytes)], [10, maybeU32(link.masterIndex)]),
    nested(18, [attribute(1, "veth"), nested(2, [peerPart], false)], false),
  );
}

function addressHeader(prefix: IpPrefix, linkIndex: number, noDuplicateDetection: boolean): Buffer {
  const out = Buffer.alloc(8);
  out[0] = familyNumbers[ipFamilyOf(prefix.address)];
  out[1] = prefix.prefixLength;
  out[2] = noDuplicateDetection ? 2 : 0;
  out.writeUInt32LE(linkIndex, 4);
  return out;
}

/** Adds an address to a link. IPv6 addresses skip duplicate address detection, so that they can be used at once. */
export function addAddressMessage(linkIndex: number, prefix: IpPrefix): Buffer {
  const bytes = ipToBytes(prefix.address);
  const header = addressHeader(prefix, linkIndex, bytes.length === 16);
  return netlinkMessage(
    messageTypes.newAddress,
    netlinkFlags.create | netlinkFlags.replace,
    header,
    attribute(2, bytes),
    attribute(1, bytes),
  );
}

export function deleteAddressMessage(linkIndex: number, prefix: IpPrefix): Buffer {
  const bytes = ipToBytes(prefix.address);
  return netlinkMessage(
    messageTypes.deleteAddress,
    0,
    addressHeader(prefix, linkIndex, false),
    attribute(2, bytes),
    attribute(1, bytes),
  );
}

const routeTypes = { unicast: 1, local: 2, blackhole: 6, unreachable: 7 } as const;
const routeScopes = { universe: 0, link: 253, host: 254, nowhere: 255 } as const;

function scopeOf(route: RouteSpec): number {
  if (route.type === "local") return routeScopes.host;
  if (route.type !== undefined && route.type !== "unicast") return routeScopes.universe;
  return route.gateway === undefined ? routeScopes.link : routeScopes.universe;
}

function routeBody(route: RouteSpec, scope: number): Buffer[] {
  const { destination } = route;
  const table = route.table ?? 254;
  const header = Buffer.alloc(12);
  header[0] = familyNumbers[ipFamilyOf(destination.address)];
  header[1] = destination.prefixLength;
  header[4] = table < 256 ? table : 0;
  header[5] = 4; // RTPROT_STATIC
  header[6] = scope;
  header[7] = routeTypes[route.type ?? "unicast"];
  header.writeUInt32LE(route.onLink === true ? 4 : 0, 8);
  const parts = optional(
    [1, destination.prefixLength === 0 ? undefined : ipToBytes(destination.address)],
    [4, maybeU32(route.linkIndex)],
    [5, route.gateway === undefined ? undefined : ipToBytes(route.gateway)],
    [7, route.sourceAddress === undefined ? undefined : ipToBytes(route.sourceAddress)],
    [15, u32(table)],
  );
  return [header, ...parts];
}

/** Adds a route. The kernel refuses one that exists, unless `replace` is set. */
export function addRouteMessage(route: RouteSpec): Buffer {
  const flags = route.replace === true ? netlinkFlags.create | netlinkFlags.replace : createNew;
  return netlinkMessage(messageTypes.newRoute, flags, ...routeBody(route, scopeOf(route)));
}

export function deleteRouteMessage(route: RouteSpec): Buffer {
  return netlinkMessage(messageTypes.deleteRoute, 0, ...routeBody(route, routeScopes.nowhere));
}

function neighbourBody(linkIndex: number, address: string): Buffer[] {
  const header = Buffer.alloc(12);
  header[0] = familyNumbers[ipFamilyOf(address)];
  header.writeInt32LE(linkIndex, 4);
  header.writeUInt16LE(0x80, 8); // NUD_PERMANENT
  return [header, attribute(1, ipToBytes(address))];
}

/** Adds a permanent entry to the ARP or NDP table, or replaces the existing one. */
export function addNeighbourMessage(linkIndex: number, address: string, macAddress: Uint8Array): Buffer {
  const flags = netlinkFlags.create | netlinkFlags.replace;
  return netlinkMessage(
    messageTypes.newNeighbour,
    flags,
    ...neighbourBody(linkIndex, address),
    attribute(2, macAddress),
  );
}

export function deleteNeighbourMessage(linkIndex: number, address: string): Buffer {
  return netlinkMessage(messageTypes.deleteNeighbour, 0, ...neighbourBody(linkIndex, address));
}

function ruleBody(rule: RuleSpec): Buffer[] {
  const header = Buffer.alloc(12);
  header[0] = familyNumbers[rule.family];
  header[4] = rule.table < 256 ? rule.table : 0;
  header[7] = 1; // FR_ACT_TO_TBL
  const mask = rule.mark === undefined ? undefined : u32(rule.markMask ?? 0xffffffff);
  return [header, ...optional([6, u32(rule.priority)], [10, maybeU32(rule.mark)], [16, mask], [15, u32(rule.table)])];
}

/** Adds a rule of policy routing. The kernel refuses one that exists. */
export function addRuleMessage(rule: RuleSpec): Buffer {
  return netlinkMessage(messageTypes.newRule, createNew, ...ruleBody(rule));
}

export function deleteRuleMessage(rule: RuleSpec): Buffer {
  return netlinkMessage(messageTypes.deleteRule, 0, ...ruleBody(rule));
}

export function listLinksMessage(): Buffer {
  return netlinkMessage(messageTypes.getLink, netlinkFlags.dump, linkHeader(0));
}

/** Reads one answer to {@link listLinksMessage}. */
export function readLink(payload: Buffer): LinkInfo {
  const attributes = readAttributes(payload.subarray(16));
  return {
    index: payload.readInt32LE(4),
    name: readString(attributes.get(3) ?? Buffer.alloc(0)),
    up: (payload.readUInt32LE(8) & linkUp) !== 0,
    macAddress: attributes
      .get(1)
      ?.toString("hex")
      .replace(/..(?=.)/g, "$&:"),
  };
}

export function listAddressesMessage(): Buffer {
  return netlinkMessage(messageTypes.getAddress, netlinkFlags.dump, Buffer.alloc(8));
}

/** Reads one answer to {@link listAddressesMessage}. Undefined for an entry without an address. */
export function readAddress(payload: Buffer): AddressInfo | undefined {
  const attributes = readAttributes(payload.subarray(8));
  // IFA_LOCAL is our end of a point-to-point address. IPv6 has only IFA_ADDRESS.
  const bytes = attributes.get(2) ?? attributes.get(1);
  if (bytes === undefined) return undefined;
  return { address: bytesToIp(bytes), prefixLength: payload[1] ?? 0, linkIndex: payload.readUInt32LE(4) };
}
