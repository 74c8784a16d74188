import { isIPv4, isIPv6 } from "node:net";

/** An inclusive range of addresses of one family, as numbers. */
export interface AddressRange {
  readonly family: "IPv4" | "IPv6";
  readonly first: bigint;
  readonly last: bigint;
}

/** Parses a range `a.b.c.d/n` or `a-b`. Returns undefined for anything else. */
export function parseRange(text: string): AddressRange | undefined {
  const [from = "", to] = text.split("-").map((part) => part.trim());
  if (to !== undefined) {
    const first = parseAddress(from);
    const last = parseAddress(to);
    return first === undefined || last === undefined || first.family !== last.family || first.value > last.value
      ? undefined
      : { family: first.family, first: first.value, last: last.value };
  }
  const [base = "", length] = from.split("/");
  const address = parseAddress(base);
  if (address === undefined || length === undefined || !/^\d+$/.test(length)) return undefined;
  const bits = address.family === "IPv4" ? 32 : 128;
  if (Number(length) > bits) return undefined;
  const size = 1n << BigInt(bits - Number(length));
  const first = address.value - (address.value % size);
  return { family: address.family, first, last: first + size - 1n };
}

export function parseAddress(text: string): { family: "IPv4" | "IPv6"; value: bigint } | undefined {
  if (isIPv4(text))
    return { family: "IPv4", value: text.split(".").reduce((value, part) => (value << 8n) + BigInt(part), 0n) };
  if (!isIPv6(text) || text.includes(".")) return undefined;
  const [head = "", tail] = text.split("::");
  const groups = (part: string): string[] => (part === "" ? [] : part.split(":"));
  const before = groups(head);
  const after = groups(tail ?? "");
  const all =
    tail === undefined
      ? before
      : [...before, ...Array.from({ length: 8 - before.length - after.length }, () => "0"), ...after];
  return { family: "IPv6", value: all.reduce((value, group) => (value << 16n) + BigInt(`0x${group}`), 0n) };
}

export function formatAddress(family: "IPv4" | "IPv6", value: bigint): string {
  if (family === "IPv4") return [24n, 16n, 8n, 0n].map((shift) => String((value >> shift) & 255n)).join(".");
  const groups = Array.from({ length: 8 }, (_, index) => ((value >> BigInt(112 - index * 16)) & 0xffffn).toString(16));
  const zeros = /(?:^|:)0(?::0)+(?:$|:)/.exec(groups.join(":"));
  return zeros === null ? groups.join(":") : groups.join(":").replace(zeros[0], "::");
}

export function rangeHas(range: AddressRange, text: string): boolean {
  const address = parseAddress(text);
  return (
    address !== undefined &&
    address.family === range.family &&
    address.value >= range.first &&
    address.value <= range.last
  );
}

/**
 * Whether an address ends in `.0` or `.255`. MetalLB calls such addresses buggy, because some old equipment drops their
 * packets.
 */
export function isBuggy(family: "IPv4" | "IPv6", value: bigint): boolean {
  return family === "IPv4" && ((value & 255n) === 0n || (value & 255n) === 255n);
}
