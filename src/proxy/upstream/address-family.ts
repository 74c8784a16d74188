import { isIP } from "node:net";

/** Selects the addresses of a name that are used. */
export type AddressFamily = "all" | "ipv4" | "ipv6" | "ipv4-preferred" | "ipv6-preferred";

export function ofFamily(addresses: readonly string[], family: AddressFamily): readonly string[] {
  const ofVersion = (version: 4 | 6): readonly string[] => addresses.filter((address) => isIP(address) === version);
  const [ipv4, ipv6] = [ofVersion(4), ofVersion(6)];
  switch (family) {
    case "all":
      return addresses;
    case "ipv4":
      return ipv4;
    case "ipv6":
      return ipv6;
    case "ipv4-preferred":
      return ipv4.length > 0 ? ipv4 : ipv6;
    case "ipv6-preferred":
      return ipv6.length > 0 ? ipv6 : ipv4;
  }
}
