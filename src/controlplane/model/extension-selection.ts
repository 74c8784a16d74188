import { waypointClassName } from "./gateway-class.ts";
import { matchesLabels } from "../../api/index.ts";
import { istioLabels, type PolicyTargetReference } from "../../api/istio/index.ts";
import type { Collection, CollectionIndex } from "../../kube/index.ts";
import type { EnvoyFilterFacts, ExtensionInputs, TrafficExtensionFacts } from "./extension-inputs.ts";
import {
  byAge,
  compareText,
  factsKey,
  hostnameOf,
  type ConfigFacts,
  type Labels,
  type ServiceEntryFacts,
} from "./facts.ts";

export interface ExtendedProxy {
  readonly type: "sidecar" | "router" | "waypoint";
  readonly namespace: string;
  readonly labels: Labels;
  /** The key of its {@link Waypoint}. Undefined if the proxy is no waypoint. */
  readonly waypoint?: string | undefined;
}

/**
 * A traffic extension of a proxy. It applies to all traffic or, with `hosts`, to traffic for those of a waypoint's
 * services that have these hosts in the names of their filter chains.
 */
export interface SelectedExtension {
  readonly facts: TrafficExtensionFacts;
  readonly hosts: readonly string[] | undefined;
}

export interface ExtensionSelectionOptions {
  readonly inputs: ExtensionInputs;
  readonly serviceEntries: Collection<ServiceEntryFacts>;
  readonly rootNamespace: () => string;
  readonly domain: () => string;
  /** The host in the names of the service's filter chains, if the waypoint with this key serves it. */
  readonly servedHost: (waypoint: string, service: ExtendedService) => string | undefined;
}

export interface ExtendedService {
  readonly kind: "Service" | "ServiceEntry";
  readonly namespace: string;
  readonly hostname: string;
}

interface Attachment {
  readonly namespace: string;
  readonly selector: Labels;
  readonly targetRefs: readonly PolicyTargetReference[];
}

/** Selects the EnvoyFilters and traffic extensions of a proxy, in the order in which they apply. */
export class ExtensionSelection {
  readonly #options: ExtensionSelectionOptions;
  readonly #filters: CollectionIndex<EnvoyFilterFacts>;
  readonly #extensions: readonly CollectionIndex<TrafficExtensionFacts>[];
  readonly #ofServices: readonly CollectionIndex<TrafficExtensionFacts>[];

  constructor(options: ExtensionSelectionOptions) {
    const { envoyFilters, wasmPlugins, trafficExtensions } = options.inputs;
    const byNamespace = ({ namespace }: ConfigFacts<unknown>): readonly string[] => [namespace];
    this.#options = options;
    this.#filters = envoyFilters.index("namespace", byNamespace);
    this.#extensions = [wasmPlugins, trafficExtensions].map((collection) => collection.index("namespace", byNamespace));
    this.#ofServices = [wasmPlugins, trafficExtensions].map((collection) =>
      collection.index("services", ({ spec }) => (spec.targetRefs.some(isOfService) ? ["all"] : [])),
    );
  }

  /**
   * The EnvoyFilters of a proxy, sorted by priority, then those of the root namespace first, then by age, then by name.
   */
  envoyFiltersOf(proxy: ExtendedProxy): readonly EnvoyFilterFacts[] {
    const root = this.#options.rootNamespace();
    const rankOf = ({ namespace }: EnvoyFilterFacts): number => (namespace === root ? 0 : 1);
    return this.#namespacesOf(proxy)
      .flatMap((namespace) => this.#filters.lookup(namespace))
      .filter((facts) =>
        this.#isFor(proxy, {
          namespace: facts.namespace,
          selector: facts.spec.workloadSelector?.labels ?? {},
          targetRefs: facts.spec.targetRefs,
        }),
      )
      .sort(
        (left, right) =>
          left.spec.priority - right.spec.priority ||
          rankOf(left) - rankOf(right) ||
          compareText(left.createdAt, right.createdAt) ||
          compareText(`${left.name}.${left.namespace}`, `${right.name}.${right.namespace}`),
      );
  }

  /**
   * The traffic extensions of a proxy, the highest priority first. Among equal priorities, those of the proxy's own
   * namespace come first, then those of the root namespace, then those of services. Within each of these, older ones
   * come first.
   */
  trafficExtensionsOf(proxy: ExtendedProxy): readonly SelectedExtension[] {
    const found = new Map<string, SelectedExtension>();
    const root = this.#options.rootNamespace();
    for (const namespace of new Set([proxy.namespace, root])) {
      for (const facts of this.#extensions.flatMap((index) => index.lookup(namespace)).sort(byAge)) {
        if (
          this.#isFor(proxy, {
            namespace,
            selector: facts.spec.selector?.matchLabels ?? {},
            targetRefs: facts.spec.targetRefs,
          })
        )
          found.set(factsKey(facts), { facts, hosts: undefined });
      }
    }
    const { waypoint } = proxy;
    if (proxy.type === "waypoint" && waypoint !== undefined) {
      for (const facts of this.#ofServices.flatMap((index) => index.lookup("all")).sort(byAge)) {
        const hosts = this.#hostsOf(facts, waypoint);
        if (hosts.length > 0 && !found.has(factsKey(facts))) found.set(factsKey(facts), { facts, hosts });
      }
    }
    const priorityOf = ({ facts }: SelectedExtension): number => facts.spec.priority ?? Number.NEGATIVE_INFINITY;
    return [...found.values()].sort((left, right) =>
      priorityOf(left) === priorityOf(right) ? 0 : priorityOf(right) - priorityOf(left),
    );
  }

  #namespacesOf({ namespace }: ExtendedProxy): readonly string[] {
    return [...new Set([this.#options.rootNamespace(), namespace])];
  }

  /**
   * Whether an extension applies to a proxy. Selectors apply to all proxies except waypoints. Targets apply to the
   * proxies of a Gateway, or to all waypoints if they name the class of waypoints.
   */
  #isFor({ type, namespace, labels }: ExtendedProxy, { namespace: own, selector, targetRefs }: Attachment): boolean {
    const gateway = labels[istioLabels.gatewayName];
    if (targetRefs.length === 0)
      return type !== "waypoint" && (Object.keys(selector).length === 0 || matchesLabels(selector, labels));
    if (gateway === undefined) return false;
    return targetRefs.some(({ group, kind, name }) => {
      if (group !== "gateway.networking.k8s.io") return false;
      if (kind === "GatewayClass")
        return type === "waypoint" && own === this.#options.rootNamespace() && name === waypointClassName;
      return kind === "Gateway" && own === namespace && name === gateway;
    });
  }

  /**
   * The hosts of the extension's targets behind a waypoint. The host alone does not identify a target, because services
   * of several namespaces may have it, and an extension must neither process requests of other namespaces nor be
   * readable to them.
   */
  #hostsOf({ namespace, spec }: TrafficExtensionFacts, waypoint: string): readonly string[] {
    const { serviceEntries, domain, servedHost } = this.#options;
    return spec.targetRefs.flatMap((target) => {
      if (!isOfService(target)) return [];
      const kind = target.kind === "Service" ? "Service" : "ServiceEntry";
      const named =
        kind === "Service"
          ? [hostnameOf({ namespace, name: target.name }, domain())]
          : (serviceEntries.get(`${namespace}/${target.name}`)?.spec.hosts ?? []);
      return named.flatMap((host) => servedHost(waypoint, { kind, namespace, hostname: host.toLowerCase() }) ?? []);
    });
  }
}

function isOfService({ group, kind }: PolicyTargetReference): boolean {
  return (group === "" && kind === "Service") || (group === "networking.istio.io" && kind === "ServiceEntry");
}
