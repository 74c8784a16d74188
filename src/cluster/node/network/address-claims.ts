import type { NftKey } from "../../../net/index.ts";
import type { PlannedPort } from "./service-plan.ts";

/** An entry of an nf_tables map, which leads from an address to a chain. */
export interface MapEntry {
  readonly map: string;
  readonly key: NftKey;
  readonly chain: string;
}

/** A pair of an address and a port that a Service port claims. */
export interface WantedAddress {
  /** The address with protocol and port, as a key. Claims of the same address have the same id. */
  readonly id: string;
  readonly entry: MapEntry;
  /** Whether the API server has assigned the address to the Service. Any other address was written by a user. */
  readonly isOwn: boolean;
}

interface Claim extends WantedAddress {
  readonly key: string;
  readonly createdAt: string;
}

/**
 * Decides which of several Services gets an address that all of them name, in `externalIPs` or in the LoadBalancer's
 * status. The author of a Service or of its status may name any address. So the Service to which the API server has
 * assigned the address wins. Otherwise the oldest Service wins. The order of changes does not affect the result.
 */
export class AddressClaims {
  readonly #byPort = new Map<string, readonly Claim[]>();
  readonly #byId = new Map<string, readonly Claim[]>();

  clear(): void {
    this.#byPort.clear();
    this.#byId.clear();
  }

  /** Replaces the claims of a port. Returns the ids of its old and new claims. */
  set({ key, createdAt }: Pick<PlannedPort, "key" | "createdAt">, wanted: readonly WantedAddress[]): readonly string[] {
    const before = this.#byPort.get(key) ?? [];
    const claims = wanted.map((address) => ({ ...address, key, createdAt }));
    for (const { id } of before) this.#withdraw(id, key);
    for (const claim of claims) this.#byId.set(claim.id, [...(this.#byId.get(claim.id) ?? []), claim].sort(compare));
    if (claims.length === 0) this.#byPort.delete(key);
    else this.#byPort.set(key, claims);
    return [...new Set([...before, ...claims].map(({ id }) => id))];
  }

  /** Returns the winning claim of an address with the key of its port, or undefined if no port claims the address. */
  winner(id: string): (WantedAddress & { readonly key: string }) | undefined {
    return this.#byId.get(id)?.[0];
  }

  #withdraw(id: string, key: string): void {
    const left = (this.#byId.get(id) ?? []).filter((claim) => claim.key !== key);
    if (left.length === 0) this.#byId.delete(id);
    else this.#byId.set(id, left);
  }
}

function compare(a: Claim, b: Claim): number {
  if (a.isOwn !== b.isOwn) return a.isOwn ? -1 : 1;
  if (a.createdAt !== b.createdAt) return a.createdAt < b.createdAt ? -1 : 1;
  return a.key < b.key ? -1 : 1;
}
