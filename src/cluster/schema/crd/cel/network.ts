import { isIP, isIPv4, isIPv6 } from "node:net";

/** An address or a network as numbers, so that two of them can be compared. */
export interface Network {
  readonly family: 4 | 6;
  readonly address: bigint;
  readonly prefix: number;
}

/**
 * Parses an address. Returns undefined for texts that Kubernetes' `ip()` refuses, such as addresses with a zone and
 * IPv4 addresses inside IPv6.
 */
export function parseAddress(text: string): Network | undefined {
  if (isIPv4(text))
    return text.split(".").some((part) => part.length > 1 && part.startsWith("0"))
      ? undefined
      : { family: 4, address: v4Number(text), prefix: 32 };
  if (isIPv6(text) && !text.includes("%") && !text.includes("."))
    return { family: 6, address: v6Number(text), prefix: 128 };
  return undefined;
}

export function parseNetwork(text: string): Network | undefined {
  const [address = "", bits = "", ...rest] = text.split("/");
  const parsed = parseAddress(address);
  if (parsed === undefined || rest.length > 0 || !/^(0|[1-9]\d{0,2})$/.test(bits) || Number(bits) > parsed.prefix)
    return undefined;
  return { ...parsed, prefix: Number(bits) };
}

function v4Number(text: string): bigint {
  return text.split(".").reduce((sum, part) => sum * 256n + BigInt(part), 0n);
}

function v6Number(text: string): bigint {
  const [head = "", tail] = text.split("::");
  const groups = (part: string): string[] => (part === "" ? [] : part.split(":"));
  const [front, back] = [groups(head), groups(tail ?? "")];
  const zeros = tail === undefined ? 0 : 8 - front.length - back.length;
  return [...front, ...Array<string>(zeros).fill("0"), ...back].reduce(
    (sum, group) => sum * 65536n + BigInt(`0x${group}`),
    0n,
  );
}

const bitsOf = (family: 4 | 6): number => (family === 4 ? 32 : 128);

function mask(network: Network): bigint {
  const bits = bitsOf(network.family);
  return ((1n << BigInt(network.prefix)) - 1n) << BigInt(bits - network.prefix);
}

export function masked(network: Network): Network {
  return { ...network, address: network.address & mask(network) };
}

export function contains(outer: Network, inner: Network): boolean {
  return (
    outer.family === inner.family &&
    inner.prefix >= outer.prefix &&
    (inner.address & mask(outer)) === (outer.address & mask(outer))
  );
}

export function formatAddress({ family, address }: Network): string {
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => String((address >> shift) & 255n)).join(".");
  const groups = Array.from({ length: 8 }, (_, index) => ((address >> BigInt(112 - 16 * index)) & 65535n).toString(16));
  return new URL(`http://[${groups.join(":")}]/`).hostname.slice(1, -1);
}

export const isCanonicalAddress = (text: string): boolean => {
  const parsed = parseAddress(text);
  return parsed !== undefined && formatAddress(parsed) === text;
};

function within(network: Network, ...ranges: readonly string[]): boolean {
  return ranges.some((range) => {
    const parsed = parseNetwork(range);
    return parsed !== undefined && contains(parsed, network);
  });
}

export const isUnspecified = (network: Network): boolean => network.address === 0n;
export const isLoopback = (network: Network): boolean => within(network, "127.0.0.0/8", "::1/128");
export const isLinkLocalMulticast = (network: Network): boolean => within(network, "224.0.0.0/24", "ff02::/16");
export const isLinkLocalUnicast = (network: Network): boolean => within(network, "169.254.0.0/16", "fe80::/10");
export const isGlobalUnicast = (network: Network): boolean =>
  !isUnspecified(network) &&
  !isLoopback(network) &&
  !isLinkLocalUnicast(network) &&
  !within(network, "224.0.0.0/4", "ff00::/8", "255.255.255.255/32");

export const isAddress = (text: string): boolean => isIP(text) !== 0 && parseAddress(text) !== undefined;
