import { addressBytes } from "../../base/index.ts";

export { addressBytes, cidrOf } from "../../base/index.ts";

/** Whether a text is an IP address rather than a name. */
export function isAddress(text: string): boolean {
  return addressBytes(text) !== undefined;
}

/** Equal for all spellings of an IPv6 address. */
export function addressKey(address: string): string {
  return Buffer.from(addressBytes(address) ?? []).toString("hex") || address;
}
