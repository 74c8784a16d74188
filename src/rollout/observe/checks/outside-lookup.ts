import { lookup as resolve, type LookupAddress } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import { isInsideAddress } from "../../../base/index.ts";

/**
 * A check or a notification never leads to what listens on the engine's own loopback, nor to where clouds tell a machine's
 * credentials: who may write a Canary is not thereby who may ask those.
 */
function refusal(host: string, address: string): Error {
  return new Error(
    `${host === address ? host : `${host} (${address})`} is an address of the engine's own machine or link-local; name a Service or a server's address`,
  );
}

/** Throws when a URL names an address that must not be asked; a name is judged by {@link outsideLookup}. */
export function refuseInsideAddress({ hostname }: URL): void {
  const address = hostname.replaceAll(/^\[|\]$/g, "");
  if (isIP(address) !== 0 && isInsideAddress(address)) throw refusal(address, address);
}

/** `dns.lookup` for sockets: a name that leads to an address that must not be asked is an error, whatever else it leads to. */
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
