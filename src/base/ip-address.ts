import { invariant } from "./errors.ts";

/** The 4 or 16 bytes of an address. Undefined if the text is not an address. */
export function addressBytes(text: string): Uint8Array | undefined {
  return text.includes(":") ? ipv6Bytes(text) : ipv4Bytes(text);
}

export function isAddress(text: string): boolean {
  return addressBytes(text) !== undefined;
}

/** A host as URLs write it: an IPv6 address gets brackets. */
export function urlHost(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

/** `host:port`, with brackets around an IPv6 address. */
export function joinHostPort(host: string, port: number | string): string {
  return `${urlHost(host)}:${port}`;
}

function ipv4Bytes(text: string): Uint8Array | undefined {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255))
    return undefined;
  return Uint8Array.from(parts, Number);
}

function ipv6Bytes(text: string): Uint8Array | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const head = groupsOf(halves[0] ?? "");
  const tail = halves.length === 2 ? groupsOf(halves[1] ?? "") : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const groups = [...head, ...Array.from({ length: missing }, () => 0), ...tail];
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 255]));
}

function groupsOf(text: string): number[] | undefined {
  if (text === "") return [];
  const parts = text.split(":");
  const last = parts.at(-1) ?? "";
  if (last.includes(".")) {
    const bytes = ipv4Bytes(last);
    if (bytes === undefined) return undefined;
    parts.splice(
      -1,
      1,
      ((bytes[0] ?? 0) * 256 + (bytes[1] ?? 0)).toString(16),
      ((bytes[2] ?? 0) * 256 + (bytes[3] ?? 0)).toString(16),
    );
  }
  return parts.every((part) => /^[0-9a-fA-F]{1,4}$/.test(part))
    ? parts.map((part) => Number.parseInt(part, 16))
    : undefined;
}

export interface Network {
  readonly address: Uint8Array;
  readonly length: number;
}

/** The network of a CIDR, or of an address as a network of its own. Undefined if the text is neither. */
export function cidrOf(text: string): Network | undefined {
  const [base = "", prefix, ...rest] = text.split("/");
  const address = addressBytes(base);
  if (address === undefined) return undefined;
  const bits = address.length * 8;
  const length = prefix === undefined ? bits : /^\d{1,3}$/.test(prefix) && rest.length === 0 ? Number(prefix) : -1;
  return length >= 0 && length <= bits ? { address, length } : undefined;
}

const loopbackNetworks = ["127.0.0.0/8", "::1/128", "::ffff:127.0.0.0/104"].map(networkOf);

/** Whether the text is a loopback address, also as an IPv4-mapped IPv6 address. */
export function isLoopbackAddress(text: string): boolean {
  const address = addressBytes(text);
  return address !== undefined && loopbackNetworks.some((network) => isWithin(address, network));
}

const unspecifiedNetworks = ["0.0.0.0/8", "::/128", "::ffff:0.0.0.0/104"].map(networkOf);

/**
 * Whether a connection to the address reaches this machine on every machine: it is a loopback or an unspecified
 * address. A text that is not an address counts too.
 */
export function isOwnMachineAddress(text: string): boolean {
  const address = addressBytes(text);
  return (
    address === undefined ||
    isLoopbackAddress(text) ||
    unspecifiedNetworks.some((network) => isWithin(address, network))
  );
}

/**
 * IPv6 networks whose addresses have an IPv4 address in their last 32 bits: mapped, compatible, and the prefixes of
 * NAT64.
 */
const ipv4Carriers = ["::ffff:0:0/96", "::/96", "64:ff9b::/96", "64:ff9b:1::/48"].map(networkOf);
/** The prefix of 6to4 addresses. The 32 bits after it are the IPv4 address to which such packets are sent. */
const sixToFour = networkOf("2002::/16");
/**
 * The networks of this machine and its link, and the addresses at which clouds serve a machine's credentials. In IPv4,
 * Alibaba, Azure (168.63.129.16) and Oracle (192.0.0.192) use addresses that are not link-local. In IPv6, Amazon and
 * Google do.
 */
const insideNetworks = [
  "0.0.0.0/8",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "100.100.100.200/32",
  "168.63.129.16/32",
  "192.0.0.192/32",
  "::/127",
  "fe80::/10",
  "fd00:ec2::254/128",
  "fd20:ce::254/128",
].map(networkOf);

/**
 * Whether an address belongs to this machine, to its link, or to a cloud's server of a machine's credentials. An IPv6
 * address that contains such an IPv4 address counts too. So does a text that is not an address, so that callers do not
 * connect to it.
 */
export function isInsideAddress(text: string): boolean {
  return addressWithoutZone(text) === undefined || isAddressOf(text, insideNetworks);
}

/** Whether an address is in one of the networks. An IPv6 address that contains such an IPv4 address counts too. */
export function isAddressOf(text: string, networks: readonly Network[]): boolean {
  const address = addressWithoutZone(text);
  if (address === undefined) return false;
  const carried = carriedAddress(address);
  return networks.some(
    (network) => isWithin(address, network) || (carried !== undefined && isWithin(carried, network)),
  );
}

function addressWithoutZone(text: string): Uint8Array | undefined {
  const zone = text.indexOf("%");
  return addressBytes(zone < 0 ? text : text.slice(0, zone));
}

function carriedAddress(address: Uint8Array): Uint8Array | undefined {
  if (address.length === 4) return undefined;
  if (ipv4Carriers.some((network) => isWithin(address, network))) return address.subarray(-4);
  return isWithin(address, sixToFour) ? address.subarray(2, 6) : undefined;
}

function networkOf(text: string): Network {
  const network = cidrOf(text);
  invariant(network !== undefined, `${text} is not an IP network`);
  return network;
}

export function isWithin(address: Uint8Array, network: Network): boolean {
  if (address.length !== network.address.length) return false;
  for (let bit = 0; bit < network.length; bit += 8) {
    const mask = network.length - bit >= 8 ? 0xff : 0xff00 >> (network.length - bit);
    if ((((address[bit >> 3] ?? 0) ^ (network.address[bit >> 3] ?? 0)) & mask & 0xff) !== 0) return false;
  }
  return true;
}
