import { addressBytes } from "../../base/index.ts";

export { addressBytes, cidrOf, isAddress, isWithin } from "../../base/index.ts";

/** A listener with this address accepts connections to every IPv4 address. */
export const anyAddress = "0.0.0.0";

/** A key that is equal for all spellings of an IPv6 address. */
export function addressKey(address: string): string {
  return Buffer.from(addressBytes(address) ?? []).toString("hex") || address;
}
