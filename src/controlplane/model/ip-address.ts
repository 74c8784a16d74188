import { addressBytes } from "../../base/index.ts";

export { addressBytes, cidrOf, isAddress, isWithin } from "../../base/index.ts";

/** The address of listeners that accept connections to every IPv4 address. */
export const anyAddress = "0.0.0.0";

/** A key of the address that is the same for all spellings of an IPv6 address. */
export function addressKey(address: string): string {
  return Buffer.from(addressBytes(address) ?? []).toString("hex") || address;
}
