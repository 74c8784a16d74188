import { automaticallyAddressedHosts, serviceEntryKind, type ServiceEntry } from "../../api/istio/index.ts";
import type { Clock, Logger } from "../../base/index.ts";
import { Reconciler, type Informer, type KubeClient, type QueueMetrics } from "../../kube/index.ts";
import { AddressPool, AddressRange, canonicalAddress } from "./address-pool.ts";

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

/**
 * How many ranges of a namespace are compared with its addresses. An entry that has more of them in the pool probably
 * wants to keep the control plane busy.
 */
const maxRanges = 64;

/**
 * Knows the addresses of all entries, both those that users wrote and those that a control plane allocated. What users
 * of a namespace write takes no allocated address from another namespace, and no more of the pools than its share.
 */
class AddressAllocation {
  readonly #options: AddressAllocationOptions;
  readonly #pools: readonly AddressPool[];
  /** The keys of the entries that have an address, by canonical address or by range, and whether a user wrote it. */
  readonly #holders = new Map<string, Map<string, { readonly isWritten: boolean }>>();
  /** The ranges that a namespace has written. */
  readonly #ranges = new Map<string, Map<string, AddressRange>>();
  /** Entries by the address that was allocated to them, until the address appears in their status. */
  readonly #promised = new Map<string, string>();
  /** How many addresses of each pool the entries of each namespace have. */
  readonly #held: readonly Map<string, number>[];
  /** The same for all namespaces together. */
  readonly #heldByAll: number[];

  constructor(options: AddressAllocationOptions) {
    this.#options = options;
    this.#pools = options.ranges.map((range) => new AddressPool(range));
    this.#held = this.#pools.map(() => new Map<string, number>());
    this.#heldByAll = this.#pools.map(() => 0);
  }

  /** Records a change. Returns the entries that must be reconciled. */
  see(key: string, before: ServiceEntry | undefined, now: ServiceEntry | undefined): ReadonlySet<string> {
    const namespace = namespaceOf(key);
    const concerned = new Set([key]);
    for (const address of this.#addressesOf(before).keys()) this.#release(key, address);
    let hasNewRange = false;
    for (const [address, isWritten] of this.#addressesOf(now)) {
      const holders = this.#holders.get(address) ?? new Map<string, { readonly isWritten: boolean }>();
      this.#holders.set(address, holders.set(key, { isWritten }));
      this.#count(namespace, address, 1);
      if (address.includes("/")) hasNewRange = this.#takeRange(namespace, address) || hasNewRange;
      if (this.#promised.get(address) === key) this.#promised.delete(address);
      for (const holder of holders.keys()) concerned.add(holder);
    }
    // Entries of this namespace with addresses in the range need others.
    if (hasNewRange)
      for (const entry of this.#options.entries.list())
        if (entry.metadata.namespace === namespace && givenTo(entry).length > 0) concerned.add(keyOf(entry));
    if (now === undefined) this.#forget(key);
    return concerned;
  }

  #release(key: string, address: string): void {
    const namespace = namespaceOf(key);
    const holders = this.#holders.get(address);
    if (holders?.delete(key) !== true) return;
    this.#count(namespace, address, -1);
    if (holders.size === 0) this.#holders.delete(address);
    if (address.includes("/") && ![...holders.keys()].some((holder) => namespaceOf(holder) === namespace))
      this.#ranges.get(namespace)?.delete(address);
  }

  /** Returns whether the range is new in its namespace. */
  #takeRange(namespace: string, range: string): boolean {
    const known = this.#ranges.get(namespace) ?? new Map<string, AddressRange>();
    if (known.has(range) || known.size >= maxRanges) return false;
    this.#ranges.set(namespace, known.set(range, new AddressRange(range)));
    return true;
  }

  #count(namespace: string, address: string, more: 1 | -1): void {
    if (address.includes("/")) return;
    for (const [index, pool] of this.#pools.entries()) {
      const held = this.#held[index];
      if (held === undefined || !pool.contains(address)) continue;
      this.#heldByAll[index] = (this.#heldByAll[index] ?? 0) + more;
      const count = (held.get(namespace) ?? 0) + more;
      if (count === 0) held.delete(namespace);
      else held.set(namespace, count);
    }
  }

  /** Whether a namespace has more than half of what the others leave free of a pool. */
  #exceedsShare(namespace: string, pool: AddressPool): boolean {
    const index = this.#pools.indexOf(pool);
    const own = this.#held[index]?.get(namespace) ?? 0;
    const others = (this.#heldByAll[index] ?? 0) - own;
    return BigInt(own) * 2n > pool.size - BigInt(others);
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

  /** An address conflicts if an older entry has it too, or if a user of the same namespace wrote it. */
  #isInConflict(entry: ServiceEntry, given: readonly HostAddress[]): boolean {
    const key = keyOf(entry);
    const ranges = this.#rangesOf(key);
    return given.some(({ value }) => {
      const address = canonicalAddress(value) ?? value;
      if (ranges.some((range) => range.contains(address))) return true;
      return [...(this.#holders.get(address) ?? [])].some(([holder, { isWritten }]) => {
        const other = holder === key ? undefined : this.#options.entries.get(holder);
        if (other === undefined) return false;
        return isWritten ? namespaceOf(holder) === namespaceOf(key) : isOlder(other, entry);
      });
    });
  }

  #rangesOf(key: string): readonly AddressRange[] {
    return [...(this.#ranges.get(namespaceOf(key))?.values() ?? [])];
  }

  #allocate(key: string, host: string): readonly HostAddress[] {
    const ranges = this.#rangesOf(key);
    return this.#pools.flatMap((pool) => {
      const value = this.#exceedsShare(namespaceOf(key), pool)
        ? undefined
        : pool.take((address) => this.#promised.has(address) || this.#isHeld(address, pool, key), ranges);
      if (value === undefined) {
        this.#options.log.error("no free address is left for a ServiceEntry's host", { entry: key, host });
        return [];
      }
      this.#promised.set(value, key);
      return [{ value, host }];
    });
  }

  /** Whether an entry has the address. What a namespace has written beyond its share does not count for others. */
  #isHeld(address: string, pool: AddressPool, key: string): boolean {
    return [...(this.#holders.get(address) ?? [])].some(([holder, { isWritten }]) => {
      const namespace = namespaceOf(holder);
      return namespace === namespaceOf(key) || !isWritten || !this.#exceedsShare(namespace, pool);
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

  /** The addresses and ranges of an entry that lie in the pools, and whether a user wrote them. */
  #addressesOf(entry: ServiceEntry | undefined): ReadonlyMap<string, boolean> {
    const all = new Map<string, boolean>();
    if (entry === undefined) return all;
    for (const { value } of givenTo(entry)) all.set(canonicalAddress(value) ?? value, false);
    for (const address of written(entry)) all.set(canonicalAddress(address) ?? address, true);
    for (const address of all.keys())
      if (!this.#pools.some((pool) => (address.includes("/") ? pool.overlaps(address) : pool.contains(address))))
        all.delete(address);
    return all;
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

function namespaceOf(key: string): string {
  return key.slice(0, key.indexOf("/"));
}

function isOlder(left: ServiceEntry, right: ServiceEntry): boolean {
  const [a, b] = [left, right].map((entry) => `${entry.metadata.creationTimestamp ?? ""} ${keyOf(entry)}`);
  return (a ?? "") < (b ?? "");
}
