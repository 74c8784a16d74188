import { isIPv6 } from "node:net";

/**
 * The address that limits apply to. For IPv6 it is the network (/64), because one machine can use all addresses of it.
 * All clients behind one port-forward or gateway share an address.
 */
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
