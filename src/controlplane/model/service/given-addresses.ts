import type { CollectionIndex, CollectionReader } from "../../../kube/index.ts";
import type { ServiceEntryFacts } from "../facts.ts";
import { cidrOf } from "../ip-address.ts";
import type { MeshInputs } from "../mesh-inputs.ts";

/** The ServiceEntries by the addresses that a control plane has allocated to their hosts. */
export type GivenAddresses = CollectionIndex<ServiceEntryFacts>;

export function givenAddresses({ serviceEntries }: Pick<MeshInputs, "serviceEntries">): GivenAddresses {
  return serviceEntries.index("given-address", ({ allocated }) =>
    Object.values(allocated ?? {}).flatMap((addresses) => addresses.flatMap(singleAddress)),
  );
}

/**
 * Whether a control plane allocated the address to an entry of another namespace. That entry keeps it. Otherwise, users
 * could write the address into an entry of their own, and capture the other entry's clients.
 */
export function isGivenToOthers(
  address: string,
  namespace: string,
  given: GivenAddresses,
  reader: CollectionReader,
): boolean {
  return singleAddress(address).some((key) => reader.lookup(given, key).some((entry) => entry.namespace !== namespace));
}

/** A key that is equal for all spellings of an address. Empty for a range. */
export function singleAddress(text: string): readonly string[] {
  const range = cidrOf(text);
  return range === undefined || range.length < range.address.length * 8 ? [] : [range.address.join(".")];
}
