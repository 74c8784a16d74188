import { lookup as resolve, type LookupAddress } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import { isInsideAddress } from "../../../base/index.ts";

/**
 * Checks and notifications must not reach the engine's own loopback addresses, nor the link-local address where clouds
 * serve a machine's credentials. Otherwise anybody who may write a Canary could reach them.
 */
function refusal(host: string, address: string): Error {
  return new Error(
    `${host === address ? host : `${host} (${address})`} is an address of the engine's own machine or link-local; name a Service or a server's address`,
  );
}

/** Throws if a URL contains a forbidden address. {@link outsideLookup} checks host names. */
export function refuseInsideAddress({ hostname }: URL): void {
  const address = hostname.replaceAll(/^\[|\]$/g, "");
  if (isIP(address) !== 0 && isInsideAddress(address)) throw refusal(address, address);
}

/** Replaces `dns.lookup` for sockets. Fails if any address of a name is forbidden. */
export const outsideLookup: LookupFunction = (host, options, done) => {
  resolve(host, { ...options, all: true }, (error, found: readonly LookupAddress[]) => {
    if (error !== null) return done(error, "", 0);
    const inside = found.find(({ address }) => isInsideAddress(address));
    if (inside !== undefined) return done(refusal(host, inside.address), "", 0);
    const [first] = found;
    if (options.all === true) return done(null, [...found]);
    return done(null, first?.address ?? "", first?.family);
  });
};
