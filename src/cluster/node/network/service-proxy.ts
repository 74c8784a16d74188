import { keyOf } from "../../../api/index.ts";
import type { EndpointSlice, Service } from "../../../api/kubernetes/index.ts";
import { aborted, messageOf, type Logger } from "../../../base/index.ts";
import type { Informer } from "../../../kube/index.ts";
import { RouteNetlink } from "../../../net/index.ts";
import type { LoadBalancerPort } from "../node-report.ts";
import { announcedAddresses, announcerOf, planService, type AnnouncingNode, type PlannedPort } from "./service-plan.ts";
import { ServiceRules } from "./service-rules.ts";

export interface ServiceProxyOptions {
  readonly nodeName: string;
  readonly nodes: readonly AnnouncingNode[];
  readonly services: Informer<Service>;
  readonly endpointSlices: Informer<EndpointSlice>;
  /** Addresses of the pods on this node. */
  readonly podAddresses: () => readonly string[];
  readonly onLoadBalancers: (ports: readonly LoadBalancerPort[]) => void;
  readonly log: Logger;
}

const serviceNameLabel = "kubernetes.io/service-name";
const retryMs = 1_000;
/** An answer of an endpoint that has just left arrives in this time, even over a slow link. */
const answerMs = 1_000;
const loopbackIndex = 1;

/** Does kube-proxy's job for one node: turns Services and their endpoints into rules. */
export class ServiceProxy {
  readonly #options: ServiceProxyOptions;
  readonly #dirty = new Set<string>();
  readonly #portKeys = new Map<string, readonly string[]>();
  readonly #slices = new Map<string, Map<string, EndpointSlice>>();
  #announced = new Map<string, readonly LoadBalancerPort[]>();
  #rules: ServiceRules | undefined;
  #scheduled = false;
  #forgetting = false;

  constructor(options: ServiceProxyOptions) {
    this.#options = options;
  }

  /** Blocks until the signal is aborted. The rules stay. */
  async run(signal: AbortSignal): Promise<void> {
    const { services, endpointSlices } = this.#options;
    await Promise.race([Promise.all([services.synced, endpointSlices.synced]), aborted(signal)]);
    if (signal.aborted) return;
    for (const slice of endpointSlices.list()) this.#takeSlice(slice);
    this.#rules = new ServiceRules();
    const plans = services.list().flatMap((service) => this.#plan(service));
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

  /** If the kernel refuses the rules of one Service, those of the others stay. */
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

  /** Must be called when a pod of this node has started or ended. */
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

  /** Changes that arrive together are applied together. */
  #schedule(delayMs = 0): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    const run = (): void => {
      this.#scheduled = false;
      this.#apply();
    };
    if (delayMs === 0) setImmediate(run);
    else setTimeout(run, delayMs);
  }

  #apply(): void {
    const rules = this.#rules;
    if (rules === undefined) return;
    for (const key of this.#dirty) {
      try {
        this.#applyService(rules, key);
        this.#dirty.delete(key);
      } catch (error) {
        this.#options.log.error("a service's rules were refused", { service: key, error: messageOf(error) });
        this.#schedule(retryMs);
      }
    }
    try {
      rules.setPodAddresses(this.#options.podAddresses());
    } catch (error) {
      this.#options.log.error("the rules of this node's pods were refused", { error: messageOf(error) });
    }
  }

  /** Run it later, once for all endpoints that are removed meanwhile. */
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

  #applyService(rules: ServiceRules, key: string): void {
    const service = this.#options.services.get(key);
    const before = this.#portKeys.get(key) ?? [];
    const plans = service === undefined ? [] : this.#plan(service);
    const now = new Set(plans.map((plan) => plan.key));
    for (const portKey of before) if (!now.has(portKey)) rules.remove(portKey);
    const left = plans.map((plan) => rules.update(plan));
    if (service === undefined || left.includes(true)) this.#forgetUnansweredConnects();
    if (service === undefined) {
      this.#portKeys.delete(key);
      this.#setAnnounced(key, []);
    } else this.#announce(service);
    this.#report();
  }

  #plan(service: Service): PlannedPort[] {
    const key = keyOf(service);
    const plans = planService(service, this.#slicesOf(key), this.#options.nodeName);
    this.#portKeys.set(
      key,
      plans.map((plan) => plan.key),
    );
    return plans;
  }

  #slicesOf(key: string): EndpointSlice[] {
    return [...(this.#slices.get(key)?.values() ?? [])];
  }

  /** Takes the Service's LoadBalancer addresses in the fabric if this node is their announcer. */
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

  /** Removes addresses that an earlier process of this node announced and that no Service needs any more. */
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

function serviceKeyOf(slice: EndpointSlice): string | undefined {
  const name = slice.metadata.labels?.[serviceNameLabel];
  return name === undefined ? undefined : `${slice.metadata.namespace}/${name}`;
}
