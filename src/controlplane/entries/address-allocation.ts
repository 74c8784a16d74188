import { automaticallyAddressedHosts, serviceEntryKind, type ServiceEntry } from "../../api/istio/index.ts";
import type { Clock, Logger } from "../../base/index.ts";
import { Reconciler, type Informer, type KubeClient, type QueueMetrics } from "../../kube/index.ts";
import { AddressPool, canonicalAddress, rangeContains } from "./address-pool.ts";

export interface AddressAllocationOptions {
  readonly client: KubeClient;
  readonly entries: Informer<ServiceEntry>;
  /** One CIDR for each address family. Every host gets an address of each. */
  readonly ranges: readonly string[];
  readonly queues?: QueueMetrics | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

interface HostAddress {
  readonly value: string;
  readonly host: string;
}

const fieldManager = "istio.io/ip-autoallocate";

/**
 * Writes an address for each host of a ServiceEntry that needs one into the entry's status. Runs on the leader only.
 */
export async function runAddressAllocation(options: AddressAllocationOptions, signal: AbortSignal): Promise<void> {
  const { entries, queues, clock, log } = options;
  const allocation = new AddressAllocation(options);
  const reconciler = new Reconciler({
    name: "address-allocation",
    queues,
    log,
    clock,
    maxAttempts: Infinity,
    after: [entries.synced],
    reconcile: async (key) => await allocation.reconcile(key),
  });
  using _entries = entries.subscribe((change) => {
    const before = change.type === "set" ? change.previous : change.object;
    const now = change.type === "set" ? change.object : undefined;
    for (const key of allocation.see(change.key, before, now)) reconciler.add(key);
  });
  await reconciler.run(signal);
}

/** Knows the addresses of all entries, both those that users wrote and those that a control plane allocated. */
class AddressAllocation {
  readonly #options: AddressAllocationOptions;
  readonly #pools: readonly AddressPool[];
  /** The keys of the entries that have an address, by canonical address or by range. */
  readonly #holders = new Map<string, Set<string>>();
  /** The holders' keys that are ranges. There are few, if any. */
  readonly #ranges = new Set<string>();
  /** Entries by the address that was allocated to them, until the address appears in their status. */
  readonly #promised = new Map<string, string>();

  constructor(options: AddressAllocationOptions) {
    this.#options = options;
    this.#pools = options.ranges.map((range) => new AddressPool(range));
  }

  /** Records a change. Returns the entries that must be reconciled. */
  see(key: string, before: ServiceEntry | undefined, now: ServiceEntry | undefined): ReadonlySet<string> {
    const concerned = new Set([key]);
    for (const address of this.#addressesOf(before)) {
      const holders = this.#holders.get(address);
      holders?.delete(key);
      if (holders?.size !== 0) continue;
      this.#holders.delete(address);
      this.#ranges.delete(address);
    }
    for (const address of this.#addressesOf(now)) {
      const holders = this.#holders.get(address) ?? new Set();
      this.#holders.set(address, holders.add(key));
      if (address.includes("/")) this.#takeRange(address, concerned);
      if (this.#promised.get(address) === key) this.#promised.delete(address);
      for (const holder of holders) concerned.add(holder);
    }
    if (now === undefined) this.#forget(key);
    return concerned;
  }

  /** Takes a user's range. Entries with allocated addresses within it need other addresses. */
  #takeRange(range: string, concerned: Set<string>): void {
    this.#ranges.add(range);
    for (const [address, holders] of this.#holders)
      if (rangeContains(range, address)) for (const holder of holders) concerned.add(holder);
  }

  async reconcile(key: string): Promise<void> {
    const entry = this.#options.entries.get(key);
    const parsed = entry === undefined ? undefined : serviceEntryKind.parse?.(entry).value;
    if (entry === undefined || parsed === undefined || entry.metadata.deletionTimestamp !== undefined) return;
    const hosts = automaticallyAddressedHosts(parsed);
    const given = givenTo(entry);
    const kept = this.#isInConflict(entry, given) ? [] : given.filter(({ host }) => hosts.includes(host));
    const wanted = hosts.flatMap((host) => {
      const own = kept.filter((address) => address.host === host);
      return own.length > 0 ? own : this.#allocate(key, host);
    });
    if (
      wanted.length === given.length &&
      wanted.every(({ value, host }, index) => given[index]?.value === value && given[index].host === host)
    )
      return;
    await this.#write(key, entry, wanted);
  }

  /** An address conflicts if an older entry has it too, or if a user wrote it in any entry. */
  #isInConflict(entry: ServiceEntry, given: readonly HostAddress[]): boolean {
    const key = keyOf(entry);
    return given.some(({ value }) => {
      const address = canonicalAddress(value) ?? value;
      if ([...this.#ranges].some((range) => rangeContains(range, address))) return true;
      return [...(this.#holders.get(address) ?? [])].some((holder) => {
        const other = holder === key ? undefined : this.#options.entries.get(holder);
        return (
          other !== undefined &&
          (written(other).some((own) => canonicalAddress(own) === address) || isOlder(other, entry))
        );
      });
    });
  }

  #allocate(key: string, host: string): readonly HostAddress[] {
    const isTaken = (address: string): boolean =>
      this.#holders.has(address) ||
      this.#promised.has(address) ||
      [...this.#ranges].some((range) => rangeContains(range, address));
    return this.#pools.flatMap((pool) => {
      const value = pool.take(isTaken);
      if (value === undefined) {
        this.#options.log.error("no free address is left for a ServiceEntry's host", { entry: key, host });
        return [];
      }
      this.#promised.set(value, key);
      return [{ value, host }];
    });
  }

  /** Fails with `conflict` if the entry has changed since it was read. The next try reads it again. */
  async #write(key: string, { metadata }: ServiceEntry, addresses: readonly HostAddress[]): Promise<void> {
    const { name = "", namespace, resourceVersion } = metadata;
    try {
      await this.#options.client.patchMerge(
        serviceEntryKind,
        name,
        namespace,
        { metadata: { resourceVersion }, status: { addresses } },
        { subresource: "status", fieldManager },
      );
    } catch (error) {
      this.#forget(key);
      throw error;
    }
  }

  #forget(key: string): void {
    for (const [address, holder] of this.#promised) if (holder === key) this.#promised.delete(address);
  }

  /** The addresses and ranges of an entry that lie in the pools. */
  #addressesOf(entry: ServiceEntry | undefined): readonly string[] {
    if (entry === undefined) return [];
    const all = [...written(entry), ...givenTo(entry).map(({ value }) => value)].map(
      (address) => canonicalAddress(address) ?? address,
    );
    return [...new Set(all)].filter((address) =>
      this.#pools.some((pool) => (address.includes("/") ? pool.overlaps(address) : pool.contains(address))),
    );
  }
}

function keyOf({ metadata }: ServiceEntry): string {
  return `${metadata.namespace ?? ""}/${metadata.name ?? ""}`;
}

function written({ spec }: ServiceEntry): readonly string[] {
  const { addresses } = (spec ?? {}) as { addresses?: unknown };
  return Array.isArray(addresses) ? addresses.filter((address) => typeof address === "string") : [];
}

function givenTo({ status }: ServiceEntry): readonly HostAddress[] {
  return (status?.addresses ?? []).map(({ value, host = "" }) => ({ value, host }));
}

function isOlder(left: ServiceEntry, right: ServiceEntry): boolean {
  const [a, b] = [left, right].map((entry) => `${entry.metadata.creationTimestamp ?? ""} ${keyOf(entry)}`);
  return (a ?? "") < (b ?? "");
}
