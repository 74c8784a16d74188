import { lookup as resolve, type LookupAddress } from "node:dns";
import { BlockList, isIP, type LookupFunction } from "node:net";

/**
 * Addresses that a check or a notification never leads to: what listens on the engine's own loopback, and link-local ones,
 * where clouds tell a machine's credentials. Who may write a Canary is not thereby who may ask those.
 */
const refused = new BlockList();
refused.addSubnet("127.0.0.0", 8, "ipv4");
refused.addSubnet("0.0.0.0", 8, "ipv4");
refused.addSubnet("169.254.0.0", 16, "ipv4");
refused.addSubnet("::1", 128, "ipv6");
refused.addSubnet("::", 128, "ipv6");
refused.addSubnet("fe80::", 10, "ipv6");
refused.addAddress("fd00:ec2::254", "ipv6");
// The same of version 4, as NAT64 writes them.
refused.addSubnet("64:ff9b::7f00:0", 104, "ipv6");
refused.addSubnet("64:ff9b::a9fe:0", 112, "ipv6");

function isRefused(address: string): boolean {
  return refused.check(address, isIP(address) === 6 ? "ipv6" : "ipv4");
}

function refusal(host: string, address: string): Error {
  return new Error(`${host === address ? host : `${host} (${address})`} is an address of the engine's own machine or link-local; name a Service or a server's address`);
}

/** Throws when a URL names an address that must not be asked; a name is judged by {@link outsideLookup}. */
export function refuseInsideAddress({ hostname }: URL): void {
  const address = hostname.replaceAll(/^\[|\]$/g, "");
  if (isIP(address) !== 0 && isRefused(address)) throw refusal(address, address);
}

/** `dns.lookup` for sockets: a name that leads to an address that must not be asked is an error, whatever else it leads to. */
export const outsideLookup: LookupFunction = (host, options, done) => {
  resolve(host, { ...options, all: true }, (error, found: readonly LookupAddress[]) => {
    if (error !== null) return done(error, "", 0);
    const inside = found.find(({ address }) => isRefused(address));
    if (inside !== undefined) return done(refusal(host, inside.address), "", 0);
    const [first] = found;
    if (options.all === true) return done(null, [...found]);
    return done(null, first?.address ?? "", first?.family);
  });
};
