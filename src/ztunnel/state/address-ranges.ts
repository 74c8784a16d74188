import { addressBytes } from "../../base/index.ts";
import type { NetworkAddress, Service } from "./model.ts";

/** Finds services by address range. If several ranges contain an address, the smallest one wins. */
export class AddressRanges {
  /** The services by prefix length, then by network and the prefix's bits. */
  readonly #byLength = new Map<number, Map<string, Set<Service>>>();
  #lengths: readonly number[] = [];

  add({ network, address }: NetworkAddress, length: number, service: Service): void {
    const key = rangeKey(network, address, length);
    if (key === undefined) return;
    const ranges = this.#byLength.get(length) ?? new Map<string, Set<Service>>();
    ranges.set(key, (ranges.get(key) ?? new Set()).add(service));
    this.#byLength.set(length, ranges);
    this.#sort();
  }

  drop({ network, address }: NetworkAddress, length: number, service: Service): void {
    const key = rangeKey(network, address, length);
    const ranges = this.#byLength.get(length);
    const services = ranges?.get(key ?? "");
    services?.delete(service);
    if (services?.size === 0) ranges?.delete(key ?? "");
    if (ranges?.size === 0) this.#byLength.delete(length);
    this.#sort();
  }

  find<Found>(
    network: string,
    address: string,
    choose: (services: ReadonlySet<Service>) => Found | undefined,
  ): Found | undefined {
    for (const length of this.#lengths) {
      const services = this.#byLength.get(length)?.get(rangeKey(network, address, length) ?? "");
      const found = services === undefined ? undefined : choose(services);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #sort(): void {
    this.#lengths = [...this.#byLength.keys()].sort((left, right) => right - left);
  }
}

/**
 * Returns the key of a range: its network, and its address with the bits after `length` cleared. Returns undefined if
 * the input is not an address with at least that many bits.
 */
function rangeKey(network: string, address: string, length: number): string | undefined {
  const bytes = addressBytes(address);
  if (bytes === undefined || length > bytes.length * 8) return undefined;
  const masked = bytes.map((byte, index) => byte & (0xff << (8 - Math.min(Math.max(length - index * 8, 0), 8))));
  return `${network}/${masked.join(".")}`;
}
