import { keyOf, serviceNameLabel } from "../../../api/index.ts";
import type { EndpointSlice, Service } from "../../../api/kubernetes/index.ts";
import { aborted, messageOf, type Logger } from "../../../base/index.ts";
import type { Informer } from "../../../kube/index.ts";
import { RouteNetlink } from "../../../net/index.ts";
import type { LoadBalancerPort } from "../node-report.ts";
import {
  announcedAddresses,
  announcerOf,
  planService,
  unservedPart,
  type AnnouncingNode,
  type PlannedPort,
} from "./service-plan.ts";
import { ServiceRules } from "./service-rules.ts";

export interface ServiceProxyOptions {
  readonly nodeName: string;
  readonly nodes: readonly AnnouncingNode[];
  readonly services: Informer<Service>;
  readonly endpointSlices: Informer<EndpointSlice>;
  /** Returns the addresses of the pods on this node. */
  readonly podAddresses: () => readonly string[];
  readonly onLoadBalancers: (ports: readonly LoadBalancerPort[]) => void;
  readonly log: Logger;
  /**
   * The maximum time that the proxy changes rules in one turn of the event loop. Each turn changes at least one port.
   */
  readonly turnMs?: number;
}

const retryMs = 1_000;
/**
 * How long to wait for an answer that an endpoint sent just before it was removed. It arrives in this time even over a
 * slow link.
 */
const answerMs = 1_000;
const loopbackIndex = 1;
/** The default of `turnMs`. Between two turns, the node does its other work, such as its heartbeat. */
const defaultTurnMs = 50;

/** Does kube-proxy's job for one node: turns Services and their endpoints into nf_tables rules. */
export class ServiceProxy {
  readonly #options: ServiceProxyOptions;
  readonly #dirty = new Set<string>();
  /** The keys of each Service's ports that may have rules. */
  readonly #portKeys = new Map<string, readonly string[]>();
  readonly #warned = new Set<string>();
  readonly #slices = new Map<string, Map<string, EndpointSlice>>();
  #announced = new Map<string, readonly LoadBalancerPort[]>();
  #rules: ServiceRules | undefined;
  #scheduled = false;
  #retrying = false;
  #forgetting = false;

  constructor(options: ServiceProxyOptions) {
    this.#options = options;
  }

  /** Runs until the signal aborts. The rules stay in the kernel. */
  async run(signal: AbortSignal): Promise<void> {
    const { services, endpointSlices } = this.#options;
    await Promise.race([Promise.all([services.synced, endpointSlices.synced]), aborted(signal)]);
    if (signal.aborted) return;
    for (const slice of endpointSlices.list()) this.#takeSlice(slice);
    this.#rules = new ServiceRules();
    const plans = services.list().flatMap((service) => {
      const planned = this.#plan(service);
      this.#portKeys.set(keyOf(service), keysOf(planned));
      return planned;
    });
    this.#replaceAll(this.#rules, plans);
    this.#restoreAnnounced();
    for (const service of services.list()) this.#announce(service);
    this.#report();
    this.#forgetUnansweredConnects();
    using _services = services.subscribe((change) => this.#mark(change.key));
    using _slices = endpointSlices.subscribe((change) => {
      if (change.type === "set") this.#takeSlice(change.object);
      else this.#dropSlice(change.object);
      const name = serviceKeyOf(change.object);
      if (name !== undefined) this.#mark(name);
    });
    await aborted(signal);
    this.#rules[Symbol.dispose]();
    this.#rules = undefined;
  }

  /**
   * Replaces the rules of all Services. If the kernel refuses the rules of one Service, the others still get theirs.
   */
  #replaceAll(rules: ServiceRules, plans: readonly PlannedPort[]): void {
    const { log, services, podAddresses } = this.#options;
    try {
      rules.replaceAll(plans, podAddresses());
    } catch (error) {
      log.error("the rules of all services were refused, so they are made one by one", { error: messageOf(error) });
      rules.replaceAll([], podAddresses());
      for (const service of services.list()) this.#mark(keyOf(service));
    }
  }

  /** Applies the present addresses of this node's pods. Call this when a pod of this node has started or ended. */
  podsChanged(): void {
    this.#schedule();
  }

  #takeSlice(slice: EndpointSlice): void {
    const service = serviceKeyOf(slice);
    if (service === undefined) return;
    const ofService = this.#slices.get(service) ?? new Map<string, EndpointSlice>();
    ofService.set(keyOf(slice), slice);
    this.#slices.set(service, ofService);
  }

  #dropSlice(slice: EndpointSlice): void {
    const service = serviceKeyOf(slice);
    if (service !== undefined) this.#slices.get(service)?.delete(keyOf(slice));
  }

  #mark(serviceKey: string): void {
    this.#dirty.add(serviceKey);
    this.#schedule();
  }

  /** Applies changes a little later, so that changes that arrive together are applied together. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#apply();
    });
  }

  #retryLater(): void {
    if (this.#retrying) return;
    this.#retrying = true;
    setTimeout(() => {
      this.#retrying = false;
      this.#apply();
    }, retryMs);
  }

  #apply(): void {
    const rules = this.#rules;
    if (rules === undefined) return;
    this.#applyDirty(rules);
    try {
      rules.setPodAddresses(this.#options.podAddresses());
    } catch (error) {
      this.#options.log.error("the rules of this node's pods were refused", { error: messageOf(error) });
    }
  }

  #applyDirty(rules: ServiceRules): void {
    const lateMs = performance.now() + (this.#options.turnMs ?? defaultTurnMs);
    for (const key of this.#dirty) {
      try {
        const isDone = this.#applyService(rules, key, lateMs);
        if (isDone) this.#dirty.delete(key);
        if (!isDone || performance.now() >= lateMs) return this.#schedule();
      } catch (error) {
        this.#options.log.error("a service's rules were refused", { service: key, error: messageOf(error) });
        this.#retryLater();
      }
    }
  }

  /** Forgets unanswered connection attempts after a delay, once for all endpoints that are removed in the meantime. */
  #forgetUnansweredConnects(): void {
    if (this.#forgetting) return;
    this.#forgetting = true;
    setTimeout(() => {
      this.#forgetting = false;
      try {
        this.#rules?.forgetUnansweredConnects();
      } catch (error) {
        this.#options.log.error("tracked connections without an answer could not be deleted", {
          error: messageOf(error),
        });
      }
    }, answerMs);
  }

  /**
   * Makes at least one change to the Service's rules. Returns whether no change is left. Otherwise the next call
   * continues.
   */
  #applyService(rules: ServiceRules, key: string, lateMs: number): boolean {
    const service = this.#options.services.get(key);
    const before = this.#portKeys.get(key) ?? [];
    const plans = service === undefined ? [] : this.#plan(service);
    const now = new Set(keysOf(plans));
    this.#portKeys.set(key, [...new Set([...before, ...now])]);
    if (service === undefined) this.#forgetUnansweredConnects();
    const removed = before.filter((portKey) => !now.has(portKey) && rules.has(portKey));
    const changed = plans.filter((plan) => !rules.holds(plan));
    const changes = [
      ...removed.map((portKey) => () => rules.remove(portKey)),
      ...changed.map((plan) => () => {
        if (rules.update(plan)) this.#forgetUnansweredConnects();
      }),
    ];
    for (const [index, change] of changes.entries()) {
      change();
      if (performance.now() >= lateMs && index < changes.length - 1) return false;
    }
    if (service === undefined) {
      this.#portKeys.delete(key);
      this.#warned.delete(key);
      this.#setAnnounced(key, []);
    } else {
      this.#portKeys.set(key, [...now]);
      this.#announce(service);
    }
    this.#report();
    return true;
  }

  #plan(service: Service): PlannedPort[] {
    const key = keyOf(service);
    const why = unservedPart(service);
    if (why !== undefined && !this.#warned.has(key))
      this.#options.log.warn("a part of a Service is not served", { service: key, why });
    if (why === undefined) this.#warned.delete(key);
    else this.#warned.add(key);
    return planService(service, this.#slicesOf(key), this.#options.nodeName);
  }

  #slicesOf(key: string): EndpointSlice[] {
    return [...(this.#slices.get(key)?.values() ?? [])];
  }

  /**
   * Starts to announce the Service's LoadBalancer addresses if this node is their announcer, and stops if it is not.
   */
  #announce(service: Service): void {
    const key = keyOf(service);
    const { nodes, nodeName } = this.#options;
    const ours = service.spec?.type === "LoadBalancer" && announcerOf(service, this.#slicesOf(key), nodes) === nodeName;
    const addresses = ours ? announcedAddresses(service) : [];
    const ports = addresses.flatMap((address) =>
      (service.spec?.ports ?? [])
        .filter((port) => (port.protocol ?? "TCP") === "TCP")
        .map((port) => ({ service: key, address, port: port.port, portName: port.name ?? "" })),
    );
    this.#setAnnounced(key, ports);
  }

  #setAnnounced(key: string, ports: readonly LoadBalancerPort[]): void {
    const before = this.#addresses();
    if (ports.length === 0) this.#announced.delete(key);
    else this.#announced.set(key, ports);
    const after = this.#addresses();
    using netlink = new RouteNetlink();
    for (const address of after)
      if (!before.has(address)) netlink.addAddress(loopbackIndex, { address, prefixLength: 32 });
    for (const address of before)
      if (!after.has(address)) netlink.deleteAddress(loopbackIndex, { address, prefixLength: 32 });
  }

  /** Removes all addresses that an earlier process of this node announced. `#announce` then adds the current ones. */
  #restoreAnnounced(): void {
    using netlink = new RouteNetlink();
    for (const { address, linkIndex, prefixLength } of netlink.addresses()) {
      if (linkIndex === loopbackIndex && prefixLength === 32 && !address.includes(":"))
        netlink.deleteAddress(loopbackIndex, { address, prefixLength });
    }
    this.#announced = new Map();
  }

  #addresses(): Set<string> {
    return new Set([...this.#announced.values()].flat().map(({ address }) => address));
  }

  #report(): void {
    this.#options.onLoadBalancers([...this.#announced.values()].flat());
  }
}

function keysOf(plans: readonly PlannedPort[]): string[] {
  return plans.map(({ key }) => key);
}

function serviceKeyOf(slice: EndpointSlice): string | undefined {
  const name = slice.metadata.labels?.[serviceNameLabel];
  return name === undefined ? undefined : `${slice.metadata.namespace}/${name}`;
}
