import type { Collection, CollectionIndex, SourceCollection } from "../../kube/index.ts";
import { workloadEntryLabels, workloadNameOfEntry, type PodFacts, type WorkloadEntryFacts } from "../model/index.ts";
import type { ProxyIdentity } from "../serve/index.ts";
import { HeldKeys, type HeldKeysOptions } from "./held-keys.ts";

export interface MachineSources {
  readonly own: SourceCollection<PodFacts>;
  /** The workloads whose proxies name a remote cluster. */
  readonly remote: SourceCollection<PodFacts>;
}

export interface ConnectedMachinesOptions {
  readonly machines: MachineSources;
  readonly workloadEntries: Collection<WorkloadEntryFacts>;
  readonly excludedNamespaces: Collection<true>;
  readonly bounds: Omit<HeldKeysOptions, "forgotten">;
  /** The remote cluster of a proxy. Undefined for the control plane's own cluster. */
  readonly remoteOf: (proxy: ProxyIdentity) => string | undefined;
  readonly hasPod: (proxy: ProxyIdentity) => boolean;
}

/** A connected proxy that may be on a machine outside of the cluster, or in a namespace that is not read. */
export interface MachineMember {
  readonly proxy: ProxyIdentity;
  /** The key in the collection of machines. Undefined for a proxy of a pod, and until the workload is known. */
  machine: string | undefined;
}

/**
 * The workloads of sidecars on machines outside of the cluster, such as virtual machines, which have a WorkloadEntry
 * instead of a pod. Sidecars in namespaces that no discovery selector matches are treated in the same way: their pods
 * are never read, but their traffic must still pass. A workload stays as long as its sidecar is connected, and for some
 * time afterwards.
 */
export class ConnectedMachines<Member extends MachineMember> {
  readonly #options: ConnectedMachinesOptions;
  readonly #entries: CollectionIndex<WorkloadEntryFacts>;
  readonly #held: HeldKeys<Member>;
  /** The sidecars whose pods are not known: those of machines, and those whose pods have not been seen yet. */
  readonly #withoutPod = new Set<Member>();

  constructor(options: ConnectedMachinesOptions) {
    const { machines, workloadEntries, bounds } = options;
    this.#options = options;
    this.#entries = workloadEntries.index("namespace-address", ({ namespace, spec }) => [
      `${namespace}/${spec.address}`,
    ]);
    const forgotten = (key: string): void => {
      machines.own.delete(key);
      machines.remote.delete(key);
    };
    this.#held = new HeldKeys({ ...bounds, forgotten });
  }

  /** Calls `reconsider` for each sidecar without a pod if its WorkloadEntries or its namespace have changed. */
  follow(reconsider: (member: Member) => void): void {
    this.#options.excludedNamespaces.subscribe((changes) => {
      const changed = new Set(changes.map(({ key }) => key));
      for (const member of this.#withoutPod) if (changed.has(member.proxy.namespace)) reconsider(member);
    });
    this.#options.workloadEntries.subscribe((changes) => {
      const changed = new Set(
        changes.flatMap((change) =>
          (change.type === "set" ? [change.previous, change.item] : [change.previous]).map(
            (entry) => `${entry?.namespace}/${entry?.spec.address}`,
          ),
        ),
      );
      for (const member of this.#withoutPod)
        if (entryKeysOf(member.proxy).some((key) => changed.has(key))) reconsider(member);
    });
  }

  /** Whether the workload of a proxy is known although the proxy has no known pod. */
  isKnown(proxy: ProxyIdentity): boolean {
    return proxy.registration !== undefined || this.#entriesOf(proxy).length > 0 || this.#isExcluded(proxy);
  }

  #isExcluded(proxy: ProxyIdentity): boolean {
    const { excludedNamespaces, remoteOf } = this.#options;
    return remoteOf(proxy) === undefined && excludedNamespaces.get(proxy.namespace) === true;
  }

  /** Adds the workload of a sidecar on a machine. Removes it if the sidecar turns out to be a pod's. */
  join(member: Member): void {
    const { proxy } = member;
    const { hasPod, machines } = this.#options;
    if (proxy.type !== "sidecar") return;
    const facts = this.workloadOf(proxy, member.machine !== undefined);
    if (facts !== undefined) {
      this.#withoutPod.add(member);
      member.machine = machineKeyOf(proxy);
      this.#held.hold(member.machine, member);
      (facts.clusterId === undefined ? machines.own : machines.remote).set(member.machine, facts);
      return;
    }
    if (!hasPod(proxy)) {
      this.#withoutPod.add(member);
      return;
    }
    this.#withoutPod.delete(member);
    if (member.machine === undefined) return;
    this.#held.release(member.machine, member);
    machines.own.delete(member.machine);
    machines.remote.delete(member.machine);
    member.machine = undefined;
  }

  leave(member: Member): void {
    this.#withoutPod.delete(member);
    if (member.machine !== undefined) this.#held.release(member.machine, member);
  }

  /**
   * The workload of a sidecar on a machine, in the form of a pod. Its labels are those that the proxy sends and those
   * of its WorkloadEntry. Undefined for a proxy of a pod, and for a proxy whose pod may not have been seen yet. With
   * `isKnown`, a machine keeps its workload even if its WorkloadEntry is gone.
   */
  workloadOf(proxy: ProxyIdentity, isKnown = false): PodFacts | undefined {
    if (proxy.type !== "sidecar" || this.#options.hasPod(proxy)) return undefined;
    if (!isKnown && !this.isKnown(proxy)) return undefined;
    const [entry] = this.#entriesOf(proxy);
    const { INTERCEPTION_MODE: interception, WORKLOAD_NAME: workloadName } = proxy.metadata;
    const clusterId = this.#options.remoteOf(proxy);
    return {
      ...(clusterId === undefined ? {} : { clusterId }),
      namespace: proxy.namespace,
      name: proxy.name,
      labels: { ...(entry === undefined ? {} : workloadEntryLabels(entry)), ...proxy.labels },
      addresses: addressesOf(proxy),
      hostNetwork: false,
      node: "",
      serviceAccount: proxy.serviceAccount,
      ready: true,
      leaving: false,
      redirected: false,
      workloadName: workloadName ?? (entry === undefined ? proxy.name : workloadNameOfEntry(entry)),
      sidecar: {
        interception: interception === "NONE" || interception === "TPROXY" ? interception : "REDIRECT",
        hbone: proxy.hbone,
        ...(proxy.selfDiscovery ? { selfDiscovery: true } : {}),
      },
      containerPorts: [],
    };
  }

  #entriesOf(proxy: ProxyIdentity): readonly WorkloadEntryFacts[] {
    return entryKeysOf(proxy).flatMap((key) => this.#entries.lookup(key));
  }
}

/** Machines may have the same name, so the key contains the address. */
export function machineKeyOf({ clusterId, namespace, name, address }: ProxyIdentity): string {
  return `${clusterId}/${namespace}/${name}@${address}`;
}

/** All addresses of a proxy. Its node id names only the first one. */
function addressesOf({ address, metadata }: ProxyIdentity): readonly string[] {
  return (metadata["INSTANCE_IPS"] ?? address)
    .split(",")
    .map((text) => text.trim())
    .filter((text) => text !== "");
}

function entryKeysOf(proxy: ProxyIdentity): readonly string[] {
  return addressesOf(proxy).map((address) => `${proxy.namespace}/${address}`);
}
