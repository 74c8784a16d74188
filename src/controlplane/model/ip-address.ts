import { addressBytes } from "../../base/index.ts";

export { addressBytes, cidrOf } from "../../base/index.ts";

/** Whether a text is an IP address rather than a name. */
export function isAddress(text: string): boolean {
  return addressBytes(text) !== undefined;
}
