import { automaticallyAddressedHosts, serviceEntryKind, type ServiceEntry } from "../../api/istio/index.ts";
import type { Clock, Logger } from "../../base/index.ts";
import { Reconciler, type Informer, type KubeClient, type QueueMetrics } from "../../kube/index.ts";
import { AddressPool, AddressRange, canonicalAddress } from "./address-pool.ts";
import { PoolUsage } from "./pool-usage.ts";

export interface AddressAllocationOptions {
  readonly client: KubeClient;
  readonly entries: Informer<ServiceEntry>;
  /** One CIDR for each address family. Every host gets an address of each. */
  readonly ranges: readonly string[];
  readonly queues?: QueueMetrics | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

interface Refusal {
  readonly host: string;
  readonly usage: PoolUsage;
  /** Whether the namespace has used up its share of the pool. Otherwise, the pool is full. */
  readonly isShare: boolean;
}

interface HostAddress {
  readonly value: string;
  readonly host: string;
}

const fieldManager = "istio.io/ip-autoallocate";

/**
 * Writes an address for each host of a ServiceEntry that needs one into the entry's status. Only the leader runs this.
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
    reconcile: async (key) => {
      for (const next of await allocation.reconcile(key)) reconciler.add(next);
    },
  });
  using _entries = entries.subscribe((change) => {
    const before = change.type === "set" ? change.previous : change.object;
    const now = change.type === "set" ? change.object : undefined;
    for (const key of allocation.see(change.key, before, now)) reconciler.add(key);
  });
  await reconciler.run(signal);
}

/**
 * The maximum number of ranges of one namespace that are compared with each of its addresses. Further ranges are
 * ignored, because they would keep the control plane busy.
 */
const maxRanges = 64;
/**
 * The maximum number of waiting entries of each namespace that are tried again when an address becomes free. When one
 * of them gets an address, the next waiting entry is tried.
 */
const maxTriedAgain = 8;

interface Holder {
  /** Whether a user wrote the address. Otherwise, a control plane allocated it. */
  readonly isWritten: boolean;
}

/**
 * Knows the addresses of all entries, both those that users wrote and those that a control plane allocated. An address
 * that a user writes never displaces an allocated address of another namespace. No namespace can fill the pools.
 */
class AddressAllocation {
  readonly #options: AddressAllocationOptions;
  readonly #usages: readonly PoolUsage[];
  /** The keys of the entries that have an address or range, by the address in canonical form or the range. */
  readonly #holders = new Map<string, Map<string, Holder>>();
  /** The ranges that users have written, by namespace. */
  readonly #ranges = new Map<string, Map<string, AddressRange>>();
  /**
   * The entries to which this control plane has allocated an address that their status does not show yet, by address.
   */
  readonly #promised = new Map<string, string>();
  /** The keys of entries with a host that lacks an address, by namespace. The next one to try is first. */
  readonly #waiting = new Map<string, Set<string>>();

  constructor(options: AddressAllocationOptions) {
    this.#options = options;
    this.#usages = options.ranges.map((range) => new PoolUsage(new AddressPool(range)));
  }

  /** Records a change. Returns the keys of the entries to reconcile. */
  see(key: string, before: ServiceEntry | undefined, now: ServiceEntry | undefined): ReadonlySet<string> {
    const namespace = namespaceOf(key);
    const concerned = new Set([key]);
    const [old, current] = [this.#addressesOf(before), this.#addressesOf(now)];
    for (const address of old.keys()) this.#release(key, address);
    let hasNewRange = false;
    for (const [address, isWritten] of current) {
      const holders = this.#holders.get(address) ?? new Map<string, Holder>();
      if (!hasHolder(holders, namespace, isWritten)) this.#count(namespace, address, isWritten, 1);
      this.#holders.set(address, holders.set(key, { isWritten }));
      if (address.includes("/")) hasNewRange = this.#takeRange(namespace, address) || hasNewRange;
      if (this.#promised.get(address) === key) this.#breakPromise(address, key);
      for (const holder of holders.keys()) concerned.add(holder);
    }
    // An entry of this namespace needs another address if its allocated address is in the range. So check them again.
    if (hasNewRange)
      for (const entry of this.#options.entries.list())
        if (entry.metadata.namespace === namespace && givenTo(entry).length > 0) concerned.add(keyOf(entry));
    if (now === undefined) {
      this.#forget(key);
      this.#stopWaiting(key);
    }
    if (now === undefined || [...old.keys()].some((address) => !current.has(address)))
      for (const waiting of this.#triedAgain()) concerned.add(waiting);
    return concerned;
  }

  #release(key: string, address: string): void {
    const namespace = namespaceOf(key);
    const holders = this.#holders.get(address);
    const holder = holders?.get(key);
    if (holders === undefined || holder === undefined) return;
    holders.delete(key);
    if (!hasHolder(holders, namespace, holder.isWritten)) this.#count(namespace, address, holder.isWritten, -1);
    if (holders.size === 0) this.#holders.delete(address);
    if (address.includes("/") && ![...holders.keys()].some((other) => namespaceOf(other) === namespace))
      this.#ranges.get(namespace)?.delete(address);
  }

  /** Records a range, unless its namespace has too many. Returns whether the range is new. */
  #takeRange(namespace: string, range: string): boolean {
    const known = this.#ranges.get(namespace) ?? new Map<string, AddressRange>();
    if (known.has(range) || known.size >= maxRanges) return false;
    this.#ranges.set(namespace, known.set(range, new AddressRange(range)));
    return true;
  }

  #count(namespace: string, address: string, isWritten: boolean, more: 1 | -1): void {
    if (address.includes("/")) return;
    this.#usages.find(({ pool }) => pool.contains(address))?.count(namespace, isWritten, more);
  }

  #promise(address: string, key: string): void {
    this.#promised.set(address, key);
    this.#count(namespaceOf(key), address, false, 1);
  }

  #breakPromise(address: string, key: string): void {
    this.#promised.delete(address);
    this.#count(namespaceOf(key), address, false, -1);
  }

  /** Returns the next waiting entries of each namespace, and moves them to the end of their namespace's order. */
  #triedAgain(): readonly string[] {
    return [...this.#waiting.values()].flatMap((keys) => {
      const next = [...keys].slice(0, maxTriedAgain);
      for (const key of next) {
        keys.delete(key);
        keys.add(key);
      }
      return next;
    });
  }

  /** Returns the entries to try next, because more addresses may be free. */
  async reconcile(key: string): Promise<readonly string[]> {
    const entry = this.#options.entries.get(key);
    const parsed = entry === undefined ? undefined : serviceEntryKind.parse?.(entry).value;
    if (entry === undefined || parsed === undefined || entry.metadata.deletionTimestamp !== undefined) return [];
    const hosts = automaticallyAddressedHosts(parsed);
    const given = givenTo(entry);
    const kept = this.#isInConflict(entry, given) ? [] : given.filter(({ host }) => hosts.includes(host));
    const refusals: Refusal[] = [];
    const wanted = hosts.flatMap((host) => {
      const own = kept.filter((address) => address.host === host);
      return [...own, ...this.#missing(own).flatMap((usage) => this.#allocate(usage, key, host, refusals))];
    });
    const isUnchanged =
      wanted.length === given.length &&
      wanted.every(({ value, host }, index) => given[index]?.value === value && given[index].host === host);
    if (!isUnchanged) await this.#write(key, entry, wanted);
    if (refusals.length > 0) {
      this.#wait(key, refusals);
      return [];
    }
    return this.#stopWaiting(key) ? this.#nextWaiting(namespaceOf(key)) : [];
  }

  #nextWaiting(namespace: string): readonly string[] {
    return [...(this.#waiting.get(namespace) ?? [])].slice(0, 1);
  }

  /**
   * Whether an entry must get another address, because an older entry also has its address, or a user of the same
   * namespace has written it.
   */
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

  /**
   * The pools from which the host still needs an address. If all of its addresses come from ranges that are no longer
   * configured, it keeps them and needs no others.
   */
  #missing(own: readonly HostAddress[]): readonly PoolUsage[] {
    const has = ({ pool }: PoolUsage): boolean => own.some(({ value }) => pool.contains(value));
    return own.length > 0 && !this.#usages.some(has) ? [] : this.#usages.filter((usage) => !has(usage));
  }

  /**
   * Chooses an address for an entry: a free one or, only if there is none, one that a namespace has written beyond its
   * share.
   */
  #allocate(usage: PoolUsage, key: string, host: string, refusals: Refusal[]): readonly HostAddress[] {
    const namespace = namespaceOf(key);
    const mayGet = usage.mayGet(namespace);
    const take = (isTaken: (holder: string, at: Holder) => boolean): string | undefined =>
      usage.pool.take(
        (address) =>
          this.#promised.has(address) ||
          [...(this.#holders.get(address) ?? [])].some(([holder, at]) => isTaken(holder, at)),
        this.#rangesOf(key),
      );
    const keeps = (holder: string, { isWritten }: Holder): boolean => {
      const owner = namespaceOf(holder);
      return !isWritten || owner === namespace || !usage.writesTooMuch(owner);
    };
    const value = mayGet && !usage.isFull ? (take(() => true) ?? take(keeps)) : undefined;
    if (value === undefined) {
      refusals.push({ host, usage, isShare: !mayGet });
      return [];
    }
    this.#promise(value, key);
    return [{ value, host }];
  }

  /** Returns whether the entry was waiting. */
  #stopWaiting(key: string): boolean {
    const namespace = namespaceOf(key);
    const keys = this.#waiting.get(namespace);
    if (keys?.delete(key) !== true) return false;
    if (keys.size === 0) this.#waiting.delete(namespace);
    return true;
  }

  /** Logs why an entry gets no address, once when it begins to wait. */
  #wait(key: string, refusals: readonly Refusal[]): void {
    const namespace = namespaceOf(key);
    const keys = this.#waiting.get(namespace) ?? new Set();
    if (keys.has(key)) return;
    this.#waiting.set(namespace, keys.add(key));
    for (const { host, usage, isShare } of refusals) {
      const { range } = usage.pool;
      this.#options.log.error(
        isShare
          ? "a ServiceEntry's host waits for an address: few are free, and its namespace has half of what others leave"
          : "a ServiceEntry's host waits for an address: none is free",
        {
          entry: key,
          host,
          range,
          ofNamespace: usage.givenTo(namespace),
          hint: `set PILOT_IP_AUTOALLOCATE_${range.includes(":") ? "IPV6" : "IPV4"}_PREFIX to a larger range`,
        },
      );
    }
  }

  /**
   * Writes the addresses. Fails with `conflict` if the entry has changed since it was read; the next attempt reads it
   * again.
   */
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
    for (const [address, holder] of this.#promised) if (holder === key) this.#breakPromise(address, key);
  }

  /** The addresses and ranges of an entry that are in the pools, and whether a user wrote each. */
  #addressesOf(entry: ServiceEntry | undefined): ReadonlyMap<string, boolean> {
    const all = new Map<string, boolean>();
    if (entry === undefined) return all;
    for (const { value } of givenTo(entry)) all.set(canonicalAddress(value) ?? value, false);
    for (const address of written(entry)) all.set(canonicalAddress(address) ?? address, true);
    for (const address of all.keys())
      if (!this.#usages.some(({ pool }) => (address.includes("/") ? pool.overlaps(address) : pool.contains(address))))
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

function hasHolder(holders: ReadonlyMap<string, Holder>, namespace: string, isWritten: boolean): boolean {
  for (const [key, holder] of holders)
    if (holder.isWritten === isWritten && namespaceOf(key) === namespace) return true;
  return false;
}

function isOlder(left: ServiceEntry, right: ServiceEntry): boolean {
  const [a, b] = [left, right].map((entry) => `${entry.metadata.creationTimestamp ?? ""} ${keyOf(entry)}`);
  return (a ?? "") < (b ?? "");
}
