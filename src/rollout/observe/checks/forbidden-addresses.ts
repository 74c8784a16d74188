import { lookup as resolve, type LookupAddress, type LookupOptions } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import { isInsideAddress } from "../../../base/index.ts";

/**
 * The error for an address that checks and notifications must not call: the engine's own loopback addresses, and the
 * link-local addresses where clouds serve a machine's credentials. Otherwise anybody who may write a Canary could reach
 * them.
 */
function refusal(host: string, address: string): Error {
  return new Error(
    `${host === address ? host : `${host} (${address})`} is an address of the engine's own machine or link-local; name a Service or a server's address`,
  );
}

/** Throws if the host of a URL is a forbidden address. {@link outsideLookup} checks host names. */
export function refuseInsideAddress({ hostname }: URL): void {
  const address = hostname.replaceAll(/^\[|\]$/g, "");
  if (isIP(address) !== 0 && isInsideAddress(address)) throw refusal(address, address);
}

/** Replaces `dns.lookup` for sockets. Fails if any address of the name is forbidden. */
export const outsideLookup: LookupFunction = lookupBy((host, options, done) => {
  resolve(host, { ...options, all: true }, done);
});

/**
 * Makes a lookup that resolves every name to these addresses, without DNS. The lookup fails if any of them is
 * forbidden.
 */
export function lookupOf(addresses: readonly string[]): LookupFunction {
  const known = addresses.map((address): LookupAddress => ({ address, family: isIP(address) }));
  return lookupBy((_host, { family = 0 }, done) => {
    const wanted = family === "IPv4" ? 4 : family === "IPv6" ? 6 : family;
    done(
      null,
      known.filter((candidate) => wanted === 0 || candidate.family === wanted),
    );
  });
}

type Resolve = (
  host: string,
  options: LookupOptions,
  done: (error: NodeJS.ErrnoException | null, found: LookupAddress[]) => void,
) => void;

function lookupBy(resolveAll: Resolve): LookupFunction {
  return (host, options, done) =>
    resolveAll(host, options, (error, found) => {
      if (error !== null) return done(error, "", 0);
      const inside = found.find(({ address }) => isInsideAddress(address));
      if (inside !== undefined) return done(refusal(host, inside.address), "", 0);
      const [first] = found;
      if (first === undefined) return done(new Error(`${host} has no address of the wanted family`), "", 0);
      if (options.all === true) return done(null, [...found]);
      return done(null, first.address, first.family);
    });
}
