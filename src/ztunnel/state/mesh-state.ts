import type { Clock } from "../../base/index.ts";
import { AddressRanges } from "./address-ranges.ts";
import { noChange, PolicyReach, type MeshChange } from "./mesh-change.ts";
import {
  policyKey,
  serviceKey,
  type AuthorizationPolicy,
  type GatewayAddress,
  type NetworkAddress,
  type Service,
  type Workload,
  type WorkloadInfo,
} from "./model.ts";
import { WorkloadIndex } from "./workload-index.ts";

/** One workload as an endpoint of one service. */
export interface Endpoint {
  readonly workload: Workload;
  /** Service port -> target port, if the workload sets one. */
  readonly ports: ReadonlyMap<number, number>;
}

export interface Endpoints extends ReadonlyMap<string, Endpoint> {
  readonly version: number;
}

class EndpointMap extends Map<string, Endpoint> implements Endpoints {
  version = 0;

  override set(uid: string, endpoint: Endpoint): this {
    this.version += 1;
    return super.set(uid, endpoint);
  }

  override delete(uid: string): boolean {
    this.version += 1;
    return super.delete(uid);
  }
}

const noEndpoints: Endpoints = new EndpointMap();
const noKeys: ReadonlySet<string> = new Set();

/** Workloads, services and policies, with the indexes that a connection needs. xDS or a local file fills it. */
export class MeshState {
  readonly #workloads = new Map<string, Workload>();
  /** The workloads by network, then by address. */
  readonly #byAddress = new Map<string, WorkloadIndex>();
  /** The workloads by namespace and name. */
  readonly #byPod = new WorkloadIndex();
  /**
   * Caches the results of {@link workloadByPod}, because every connection looks up its own pod. Each change of a
   * workload clears the cache.
   */
  #foundByPod = new WeakMap<WorkloadInfo, Workload>();
  readonly #services = new Map<string, Service>();
  /** The services by network, then by address. */
  readonly #byVip = new Map<string, Map<string, Set<Service>>>();
  readonly #byRange = new AddressRanges();
  readonly #byHostname = new Map<string, Set<Service>>();
  /**
   * The endpoints by service key. A key may belong to a service that has not arrived yet, because workloads may arrive
   * first.
   */
  readonly #endpoints = new Map<string, EndpointMap>();
  readonly #policies = new Map<string, AuthorizationPolicy>();
  readonly #policiesByNamespace = new Map<string, Set<string>>();
  readonly #workloadListeners = new Set<() => void>();
  readonly #policyListeners = new Set<(reach: PolicyReach) => void>();
  #policiesKnown = false;
  readonly #ownPods: string;

  constructor(clusterId = "") {
    this.#ownPods = `${clusterId}//Pod/`;
  }

  apply(change: MeshChange): void {
    const reach = this.#policyReach(change);
    for (const name of change.removedAddresses) this.#removeAddress(name);
    for (const workload of change.workloads) this.putWorkload(workload);
    for (const service of change.services) this.putService(service);
    if (change.hasAllPolicies) this.#policiesKnown = true;
    for (const name of change.removedPolicies) this.removePolicy(name);
    for (const policy of change.policies) this.putPolicy(policy);
    for (const listener of this.#workloadListeners) listener();
    if (!reach.isEmpty) for (const listener of this.#policyListeners) listener(reach);
  }

  /**
   * Returns the workloads whose policies a change may affect. It must be computed before the change is applied. Most
   * changes concern only addresses and affect no policies.
   */
  #policyReach(change: MeshChange): PolicyReach {
    const reach = new PolicyReach();
    if (change.hasAllPolicies && !this.#policiesKnown) reach.addAll();
    for (const key of change.removedPolicies) this.#addPresent(reach, key);
    for (const policy of change.policies) {
      this.#addPresent(reach, policyKey(policy));
      reach.addPolicy(policy);
    }
    for (const name of change.removedAddresses) if (this.#workloads.has(name)) reach.addWorkload(name);
    for (const { uid, authorizationPolicies } of change.workloads) {
      const before = this.#workloads.get(uid)?.authorizationPolicies;
      if (before === undefined || !isSame(before, authorizationPolicies)) reach.addWorkload(uid);
    }
    return reach;
  }

  #addPresent(reach: PolicyReach, key: string): void {
    const present = this.#policies.get(key);
    if (present !== undefined) reach.addPolicy(present);
  }

  /** The change that turns an empty state into this one. */
  snapshot(): MeshChange {
    return {
      ...noChange,
      workloads: this.workloads(),
      services: this.services(),
      policies: this.policies(),
      hasAllPolicies: this.#policiesKnown,
    };
  }

  putWorkload(workload: Workload): void {
    this.removeWorkload(workload.uid);
    this.#foundByPod = new WeakMap();
    this.#workloads.set(workload.uid, workload);
    this.#byPod.add(podKey(workload), workload);
    // Pods on the host's network share its address, so the address does not identify one of them.
    if (workload.networkMode !== "HostNetwork") {
      let addresses = this.#byAddress.get(workload.network);
      if (addresses === undefined) this.#byAddress.set(workload.network, (addresses = new WorkloadIndex()));
      for (const address of workload.workloadIps) addresses.add(address, workload);
    }
    for (const [key, ports] of workload.services) {
      let endpoints = this.#endpoints.get(key);
      if (endpoints === undefined) this.#endpoints.set(key, (endpoints = new EndpointMap()));
      endpoints.set(workload.uid, { workload, ports });
    }
  }

  removeWorkload(uid: string): void {
    const workload = this.#workloads.get(uid);
    if (workload === undefined) return;
    this.#foundByPod = new WeakMap();
    this.#workloads.delete(uid);
    this.#byPod.delete(podKey(workload), workload);
    const addresses = this.#byAddress.get(workload.network);
    for (const address of workload.workloadIps) addresses?.delete(address, workload);
    if (addresses?.size === 0) this.#byAddress.delete(workload.network);
    for (const key of workload.services.keys()) {
      const endpoints = this.#endpoints.get(key);
      endpoints?.delete(uid);
      if (endpoints?.size === 0) this.#endpoints.delete(key);
    }
  }

  putService(service: Service): void {
    this.removeService(serviceKey(service));
    this.#services.set(serviceKey(service), service);
    for (const vip of service.vips) {
      if (vip.length === undefined) this.#addVip(vip, service);
      else this.#byRange.add(vip, vip.length, service);
    }
    add(this.#byHostname, service.hostname, service);
  }

  removeService(key: string): void {
    const service = this.#services.get(key);
    if (service === undefined) return;
    this.#services.delete(key);
    for (const vip of service.vips) {
      if (vip.length === undefined) this.#dropVip(vip, service);
      else this.#byRange.drop(vip, vip.length, service);
    }
    drop(this.#byHostname, service.hostname, service);
  }

  putPolicy(policy: AuthorizationPolicy): void {
    const key = policyKey(policy);
    this.removePolicy(key);
    this.#policies.set(key, policy);
    if (policy.scope === "WorkloadSelector") return;
    add(this.#policiesByNamespace, policy.scope === "Global" ? "" : policy.namespace, key);
  }

  removePolicy(key: string): void {
    const policy = this.#policies.get(key);
    if (policy === undefined) return;
    this.#policies.delete(key);
    drop(this.#policiesByNamespace, policy.scope === "Global" ? "" : policy.namespace, key);
  }

  workloadByUid(uid: string): Workload | undefined {
    return this.#workloads.get(uid);
  }

  /** The workload with this address. Of several, returns the most credible one, see {@link credibilityOf}. */
  workloadByAddress(network: string, address: string): Workload | undefined {
    return this.#byAddress.get(network)?.rememberedBest(address, credibilityOf);
  }

  /**
   * Returns the workload of a pod. If another workload has the same name, such as a WorkloadEntry or a pod of another
   * cluster, returns this cluster's own pod.
   */
  workloadByPod(info: WorkloadInfo): Workload | undefined {
    const found = this.#foundByPod.get(info);
    if (found !== undefined) return found;
    const workload = this.#byPod.best(podKey(info), ({ uid, serviceAccount }) =>
      serviceAccount === info.serviceAccount ? Number(uid.startsWith(this.#ownPods)) : undefined,
    );
    if (workload !== undefined) this.#foundByPod.set(info, workload);
    return workload;
  }

  /** Returns the workload of a pod. Waits for xDS if it is unknown, and returns undefined after the timeout. */
  async waitForPod(info: WorkloadInfo, timeoutMs: number, clock: Clock): Promise<Workload | undefined> {
    const found = this.workloadByPod(info);
    if (found !== undefined) return found;
    return await new Promise((resolve) => {
      const done = (workload: Workload | undefined) => {
        this.#workloadListeners.delete(look);
        timer[Symbol.dispose]();
        resolve(workload);
      };
      const look = () => {
        const workload = this.workloadByPod(info);
        if (workload !== undefined) done(workload);
      };
      const timer = clock.after(timeoutMs, () => done(undefined));
      this.#workloadListeners.add(look);
    });
  }

  service(key: string): Service | undefined {
    return this.#services.get(key);
  }

  /**
   * Returns the service with this virtual IP that the namespace can see. If several have the address, prefers one of
   * this namespace, then a canonical one. The order in which services arrive does not matter.
   */
  serviceByVip(network: string, address: string, namespace: string): Service | undefined {
    return (
      this.serviceByExactVip(network, address, namespace) ??
      this.#byRange.find(network, address, (services) => best(services, namespace))
    );
  }

  /** Does the same as {@link serviceByVip}, but ignores services with a range of addresses. */
  serviceByExactVip(network: string, address: string, namespace: string): Service | undefined {
    return best(this.#byVip.get(network)?.get(address), namespace);
  }

  serviceByHostname(hostname: string, namespace: string): Service | undefined {
    return best(this.#byHostname.get(hostname), namespace);
  }

  /** The service of a namespace with this host name, even if other namespaces cannot see it. */
  serviceOfNamespace(hostname: string, namespace: string): Service | undefined {
    for (const service of this.#byHostname.get(hostname) ?? []) if (service.namespace === namespace) return service;
    return undefined;
  }

  endpoints(service: Service): Endpoints {
    return this.#endpoints.get(serviceKey(service)) ?? noEndpoints;
  }

  servicesOf(workload: Workload): readonly Service[] {
    return [...workload.services.keys()].flatMap((key) => this.#services.get(key) ?? []);
  }

  gateway(
    gateway: GatewayAddress,
    namespace: string,
  ): { readonly service?: Service; readonly workload?: Workload } | undefined {
    const { destination } = gateway;
    if ("address" in destination) {
      const workload = this.workloadByAddress(destination.network, destination.address);
      if (workload !== undefined) return { workload };
      const service = this.serviceByVip(destination.network, destination.address, namespace);
      return service === undefined ? undefined : { service };
    }
    const service = this.#services.get(serviceKey(destination));
    if (service !== undefined) return { service };
    for (const workload of this.#workloads.values()) {
      if (workload.hostname === destination.hostname && workload.namespace === destination.namespace)
        return { workload };
    }
    return undefined;
  }

  policy(key: string): AuthorizationPolicy | undefined {
    return this.#policies.get(key);
  }

  /** The keys of the policies that apply to a whole namespace. The empty name has the global policies. */
  policiesOfNamespace(namespace: string): ReadonlySet<string> {
    return this.#policiesByNamespace.get(namespace) ?? noKeys;
  }

  /** Records that all existing policies have arrived. There may be none. */
  allPoliciesPut(): void {
    this.#policiesKnown = true;
  }

  /** Returns why the policies of a workload are not complete yet, or undefined if they are complete. */
  missingPolicy(workload: Workload): string | undefined {
    if (!this.#policiesKnown) return "policies have not arrived yet";
    const missing = workload.authorizationPolicies.find((key) => !this.#policies.has(key));
    return missing === undefined ? undefined : `the policy ${missing} has not arrived yet`;
  }

  /**
   * Waits until the workload's policies are complete, or until the timeout. `current` returns the workload, which may
   * change meanwhile.
   */
  async waitForPolicies(current: () => Workload, timeoutMs: number, clock: Clock): Promise<void> {
    if (this.missingPolicy(current()) === undefined) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#policyListeners.delete(look);
        timer[Symbol.dispose]();
        resolve();
      };
      const look = (): void => {
        if (this.missingPolicy(current()) === undefined) done();
      };
      const timer = clock.after(timeoutMs, done);
      this.#policyListeners.add(look);
    });
  }

  get hasPolicies(): boolean {
    return this.#policies.size > 0;
  }
  workloads(): readonly Workload[] {
    return [...this.#workloads.values()];
  }
  services(): readonly Service[] {
    return [...this.#services.values()];
  }
  policies(): readonly AuthorizationPolicy[] {
    return [...this.#policies.values()];
  }

  /** Calls the listener after each update that may change what policies allow. `reach` has the affected workloads. */
  onPolicyChange(listener: (reach: PolicyReach) => void): Disposable {
    this.#policyListeners.add(listener);
    return { [Symbol.dispose]: () => void this.#policyListeners.delete(listener) };
  }

  #addVip({ network, address }: NetworkAddress, service: Service): void {
    let addresses = this.#byVip.get(network);
    if (addresses === undefined) this.#byVip.set(network, (addresses = new Map()));
    add(addresses, address, service);
  }

  #dropVip({ network, address }: NetworkAddress, service: Service): void {
    const addresses = this.#byVip.get(network);
    if (addresses === undefined) return;
    drop(addresses, address, service);
    if (addresses.size === 0) this.#byVip.delete(network);
  }

  #removeAddress(name: string): void {
    // A name fits only one of them: a workload's uid has at least five parts, and a service's name has two.
    if (this.#services.has(name)) this.removeService(name);
    else this.removeWorkload(name);
  }
}

/**
 * The rank of a workload among workloads with the same address: pods come first, then other workloads of the mesh, as
 * in upstream. The cluster gives a pod its address, but the author of a WorkloadEntry or a ServiceEntry may claim any
 * address, even that of another namespace's pod. Among workloads of the same rank, the latest one wins, because a pod
 * may get the address of an ended pod.
 */
function credibilityOf({ uid, protocol }: Workload): number {
  return uid.includes("//Pod/") ? 2 : Number(protocol === "HBONE");
}

function isSame(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((value, index) => value === right[index]);
}

function podKey(pod: { readonly namespace: string; readonly name: string }): string {
  return `${pod.namespace}/${pod.name}`;
}

function best(candidates: ReadonlySet<Service> | undefined, namespace: string): Service | undefined {
  let found: Service | undefined;
  for (const service of candidates ?? []) {
    if (service.visibility === "Namespace" && service.namespace !== namespace) continue;
    if (found === undefined || precedes(service, found, namespace)) found = service;
  }
  return found;
}

/** Whether a service comes before another one. The order in which services arrive does not matter. */
function precedes(left: Service, right: Service, namespace: string): boolean {
  if (left.namespace !== right.namespace) {
    if (left.namespace === namespace || right.namespace === namespace) return left.namespace === namespace;
    return left.canonical === right.canonical ? left.namespace < right.namespace : left.canonical;
  }
  return left.canonical === right.canonical ? left.hostname < right.hostname : left.canonical;
}

function add<Key, Value>(index: Map<Key, Set<Value>>, key: Key, value: Value): void {
  const values = index.get(key);
  if (values === undefined) index.set(key, new Set([value]));
  else values.add(value);
}

function drop<Key, Value>(index: Map<Key, Set<Value>>, key: Key, value: Value): void {
  const values = index.get(key);
  values?.delete(value);
  if (values?.size === 0) index.delete(key);
}
