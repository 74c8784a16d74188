import { isIPv6 } from "node:net";

/** What counts as one address: of IPv6 a network (/64), as it is one machine's. All who come through one port-forward or gateway are of one. */
export function placeOf(address: string): string {
  if (!isIPv6(address) || address.startsWith("::")) return address;
  const [left = "", right = ""] = (address.split("%")[0] ?? "").split("::");
  const groups = left.split(":");
  const filled = address.includes("::")
    ? [
        ...groups,
        ...Array.from({ length: Math.max(0, 8 - groups.length - right.split(":").length) }, () => "0"),
        ...right.split(":"),
      ]
    : groups;
  return filled.slice(0, 4).join(":");
}
