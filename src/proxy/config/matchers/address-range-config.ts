import { BlockList, isIP } from "node:net";
import type { CidrRange } from "../../../wire/envoy/index.ts";
import { invalid } from "../config-check.ts";

/** Whether an IP address is in a range. An IPv4-mapped IPv6 address counts as IPv4. */
export function compileRange(
  range: Pick<CidrRange, "addressPrefix" | "prefixLen">,
  where: string,
): (address: string) => boolean {
  const family = isIP(range.addressPrefix);
  if (family === 0) throw invalid(where, `"${range.addressPrefix}" is not an IP address`);
  const bits = family === 4 ? 32 : 128;
  const length = range.prefixLen ?? 0;
  if (length > bits)
    throw invalid(where, `the prefix length ${length} of ${range.addressPrefix} must be at most ${bits}`);
  const list = new BlockList();
  list.addSubnet(range.addressPrefix, length, family === 4 ? "ipv4" : "ipv6");
  return (address) => {
    const plain = address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address;
    const kind = isIP(plain);
    return kind !== 0 && list.check(plain, kind === 4 ? "ipv4" : "ipv6");
  };
}
