import { addressBytes, joinHostPort, moduleCache } from "../../base/index.ts";

export const hbonePort = 15_008;

/** The target of a CONNECT request: an address or a service's host name, with a port. */
export interface Authority {
  readonly host: string;
  readonly port: number;
  /** Whether `host` is an IP address (IPv6 without brackets). */
  readonly isAddress: boolean;
}

const ipv4 = /^\d{1,3}(?:\.\d{1,3}){3}$/;
const ipv6Bytes = 16;
const hostname = /^[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?$/;

/** Parsed authorities by their text. Most tunnels of a peer have the same few. */
const parsedAuthorities = moduleCache<string, Authority>("authorities", 512);
/** Texts longer than this are not cached, so that a peer cannot fill the memory. */
const maxCachedLetters = 64;

/** Parses `ip:port`, `[ip6]:port` or `hostname:port` with a port from 1 to 65535. Undefined for any other text. */
export function parseAuthority(text: string): Authority | undefined {
  const known = parsedAuthorities.get(text);
  if (known !== undefined) return known;
  const authority = parse(text);
  if (authority === undefined || text.length > maxCachedLetters) return authority;
  parsedAuthorities.set(text, authority);
  return authority;
}

function parse(text: string): Authority | undefined {
  const colon = text.lastIndexOf(":");
  if (colon <= 0) return undefined;
  const digits = text.slice(colon + 1);
  const port = Number(digits);
  if (!/^\d{1,5}$/.test(digits) || port < 1 || port > 65_535) return undefined;
  const host = text.slice(0, colon);
  if (host.startsWith("[")) {
    const address = host.slice(1, -1);
    if (!host.endsWith("]") || addressBytes(address)?.length !== ipv6Bytes) return undefined;
    return { host: address.toLowerCase(), port, isAddress: true };
  }
  if (ipv4.test(host))
    return host.split(".").every((part) => Number(part) <= 255) ? { host, port, isAddress: true } : undefined;
  if (!hostname.test(host) || host.length > 253) return undefined;
  return { host: host.toLowerCase(), port, isAddress: false };
}

export function formatAuthority(host: string, port: number): string {
  return joinHostPort(host, port);
}
