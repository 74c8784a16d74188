import { addressBytes } from "./ip-address.ts";

/** The groups of an IPv6 address that name its /64 network. One machine may use all addresses in it. */
const networkGroups = 4;
const groups = 8;
const isGroup = /^[0-9a-f]{1,4}$/;

/**
 * The network whose addresses a single client may use: the /64 of an IPv6 address. Any other text, such as an IPv4
 * address, is its own network.
 *
 * Shared limits compare clients with few connections by their networks. Otherwise a client with many addresses could
 * have few connections from each address, and many in total. They compare clients with many connections by their
 * addresses, because the pods of a node may share a network, and one pod must not cost the others their connections.
 */
export function clientNetwork(address: string): string {
  if (!address.includes(":")) return address;
  return networkOfGroups(address) ?? address;
}

/**
 * The /64 of an IPv6 address. It does not convert the whole address to bytes, because a full server calls it for each
 * of its connections.
 */
function networkOfGroups(address: string): string | undefined {
  const gap = address.indexOf("::");
  const head = gap < 0 ? address : address.slice(0, gap);
  const first = head === "" ? [] : head.split(":", networkGroups);
  if (first.length < networkGroups && gap >= 0) {
    const tail = address.slice(gap + 2);
    const zeros = groups - first.length - (tail === "" ? 0 : tail.split(":").length);
    // Let the complete parser decide about rare forms, such as `::ffff:192.0.2.1`, the address of an IPv4 client of an
    // IPv6 socket.
    if (first.length + zeros < networkGroups || head === "") return networkOfBytes(address);
    while (first.length < networkGroups) first.push("0");
  }
  return first.length === networkGroups && first.every((group) => isGroup.test(group))
    ? `${first.join(":")}/64`
    : undefined;
}

function networkOfBytes(address: string): string | undefined {
  const zone = address.indexOf("%");
  const bytes = addressBytes(zone < 0 ? address : address.slice(0, zone));
  if (bytes === undefined) return undefined;
  const names = Array.from({ length: networkGroups }, (_, group) =>
    (((bytes[2 * group] ?? 0) << 8) | (bytes[2 * group + 1] ?? 0)).toString(16),
  );
  return names.every((name) => name === "0") ? undefined : `${names.join(":")}/64`;
}
