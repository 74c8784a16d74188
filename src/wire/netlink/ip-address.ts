import { userError } from "../../base/index.ts";

/** The family of an address, judged by its form alone. */
export type IpFamily = "ipv4" | "ipv6";

/** The family of a valid address. Other texts are not detected. */
export function ipFamilyOf(address: string): IpFamily {
  return address.includes(":") ? "ipv6" : "ipv4";
}

/** The 4 or 16 bytes of an address in network order. Throws the user error `address-invalid` for any other text. */
export function ipToBytes(address: string): Buffer {
  const bytes = ipFamilyOf(address) === "ipv6" ? parseIpv6(address) : parseIpv4(address);
  if (bytes === undefined) throw userError("address-invalid", `"${address}" is not an IP address`);
  return bytes;
}

/** The text of 4 or 16 bytes, in RFC 5952's form for IPv6. An IPv4-mapped address becomes an IPv4 address. */
export function bytesToIp(bytes: Uint8Array): string {
  if (bytes.length === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}`;
  if (bytes.length !== 16) throw userError("address-invalid", `an IP address has 4 or 16 bytes, got ${bytes.length}`);
  if (isMapped(bytes)) return bytes.subarray(12).join(".");
  return formatIpv6(bytes);
}

/** Converts `::ffff:10.0.0.1` to `10.0.0.1`, and returns all other addresses as they are. */
export function unmapIp(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address;
}

function isMapped(bytes: Uint8Array): boolean {
  for (let index = 0; index < 10; index += 1) if (bytes[index] !== 0) return false;
  return bytes[10] === 0xff && bytes[11] === 0xff;
}

function parseIpv4(address: string): Buffer | undefined {
  const parts = address.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) < 256)) return undefined;
  return Buffer.from(parts.map(Number));
}

function parseIpv6(address: string): Buffer | undefined {
  const [text = "", zone] = address.split("%");
  if (zone === "") return undefined;
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const head = parseGroups(halves[0] ?? "");
  const tail = halves.length === 2 ? parseGroups(halves[1] ?? "") : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  const out = Buffer.alloc(16);
  head.forEach((group, index) => out.writeUInt16BE(group, index * 2));
  tail.forEach((group, index) => out.writeUInt16BE(group, (8 - tail.length + index) * 2));
  return out;
}

function parseGroups(text: string): number[] | undefined {
  if (text === "") return [];
  const groups: number[] = [];
  const parts = text.split(":");
  for (const [index, part] of parts.entries()) {
    if (part.includes(".") && index === parts.length - 1) {
      const last = parseIpv4(part);
      if (last === undefined) return undefined;
      groups.push(last.readUInt16BE(0), last.readUInt16BE(2));
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(Number.parseInt(part, 16));
    else return undefined;
  }
  return groups;
}

function formatIpv6(bytes: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, index) => ((bytes[index * 2] ?? 0) << 8) | (bytes[index * 2 + 1] ?? 0));
  const [start, length] = longestZeroRun(groups);
  const text = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(":");
  if (length < 2) return text(groups);
  return `${text(groups.slice(0, start))}::${text(groups.slice(start + length))}`;
}

function longestZeroRun(groups: readonly number[]): readonly [number, number] {
  let best: readonly [number, number] = [0, 0];
  for (let start = 0; start < groups.length; start += 1) {
    let end = start;
    while (end < groups.length && groups[end] === 0) end += 1;
    if (end - start > best[1]) best = [start, end - start];
  }
  return best;
}
