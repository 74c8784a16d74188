import {
  hostCovers,
  hostsOverlap,
  meshGateway,
  type CaptureMode,
  type Destination,
  type IstioPort,
  type SidecarEgress,
  type SidecarSpec,
} from "../../api/istio/index.ts";
import type { CollectionReader } from "../../kube/index.ts";
import { compareText, factsKey, type MeshSettings } from "./facts.ts";
import type { MeshInputs } from "./mesh-inputs.ts";
import { memos } from "./memos.ts";
import type { ScopeChoice } from "./scope-choice.ts";
import {
  destinationService,
  serviceKey,
  servicesSeenFrom,
  type ServiceModel,
  type ServiceRegistry,
} from "./service/service-model.ts";
import type { VirtualServices } from "./routing/virtual-service-model.ts";
import { destinationsOf, virtualServiceShapesOf, type VirtualServiceShape } from "./routing/virtual-service-shape.ts";

export interface ScopedService {
  readonly key: string;
  readonly hostname: string;
  readonly registry: ServiceModel["registry"];
  readonly ports: readonly number[];
}

export interface EgressScope {
  /** The listener's port. Absent means every port. */
  readonly port: IstioPort | undefined;
  readonly bind: string | undefined;
  readonly captureMode: CaptureMode;
  /** The services, oldest first. */
  readonly services: readonly ScopedService[];
  /**
   * Identifies a list of services that listeners of several scopes share. Undefined if the listener has its own list.
   */
  readonly reach: string | undefined;
  /** Keys, in order of precedence. */
  readonly virtualServices: readonly string[];
}

export interface OutboundScope extends ScopeChoice {
  readonly egress: readonly EgressScope[];
  /** The services of all egress listeners, and those that their VirtualServices name. At most one for each host. */
  readonly services: readonly ScopedService[];
  readonly unknownTraffic: MeshSettings["outboundTrafficPolicy"];
  readonly egressProxy: Destination | undefined;
}

export interface ReachSources {
  readonly inputs: MeshInputs;
  readonly registry: ServiceRegistry;
  readonly virtualServices: VirtualServices;
}

const everything: SidecarEgress = { captureMode: "DEFAULT", hosts: ["*/*"] };

/**
 * What the proxies of a scope reach: the services and routes that their Sidecar selects or, without one, all visible
 * ones.
 */
export function outboundScope(
  choice: ScopeChoice,
  mesh: MeshSettings,
  sources: ReachSources,
  reader: CollectionReader,
): OutboundScope {
  const sidecar: SidecarSpec | undefined =
    choice.sidecar === undefined ? undefined : reader.get(sources.inputs.sidecars, choice.sidecar)?.spec;
  const wanted = sidecar === undefined || sidecar.egress.length === 0 ? [everything] : sidecar.egress;
  const visible = servicesSeenFrom(sources.registry, choice.namespace, reader);
  const routes =
    choice.kind === "router"
      ? []
      : virtualServiceShapesOf(meshGateway, choice.namespace, sources.virtualServices.shapes, reader);
  const egress = wanted.map((listener) => egressScope(listener, choice.namespace, visible, routes));
  const policy = sidecar?.outboundTrafficPolicy;
  return {
    ...choice,
    egress: egress.map(({ scope }) => scope),
    services: unionOfServices(egress, choice.namespace, sources.registry, reader),
    unknownTraffic: policy?.mode ?? mesh.outboundTrafficPolicy,
    egressProxy: policy?.egressProxy,
  };
}

interface SelectedEgress {
  readonly scope: EgressScope;
  readonly virtualServices: readonly VirtualServiceShape[];
}

interface HostSelection {
  readonly hosts: string[];
  readonly excluded: string[];
}

function egressScope(
  listener: SidecarEgress,
  namespace: string,
  { reach, services: visible }: ReturnType<typeof servicesSeenFrom>,
  routes: readonly VirtualServiceShape[],
): SelectedEgress {
  const all = listener === everything ? reachOf(visible) : undefined;
  const selections = hostSelections(listener.hosts, namespace);
  const services =
    all === undefined
      ? onePerHost(
          visible.filter((service) =>
            isSelected(selections, service.namespace, service.hostname, (host) => hostCovers(host, service.hostname)),
          ),
          namespace,
        )
      : visible;
  const virtualServices = routes.filter((route) =>
    route.hosts.some((own) => isSelected(selections, route.namespace, own, (host) => hostsOverlap(host, own))),
  );
  const port = matchedPort(listener);
  return {
    virtualServices,
    scope: {
      port: listener.port,
      bind: listener.bind,
      captureMode: listener.captureMode,
      services:
        all?.services ??
        services
          .map((service) => scopedService(service, port))
          .filter((service) => service.ports.length > 0 || port === undefined),
      reach: all === undefined ? undefined : reach,
      virtualServices: virtualServices.map(factsKey),
    },
  };
}

/**
 * The port by which an egress listener selects services. Undefined means all ports, as for a listener for HTTP_PROXY.
 */
function matchedPort({ port }: Pick<SidecarEgress, "port">): number | undefined {
  return port === undefined || port.number === 0 || port.protocol === "HTTP_PROXY" ? undefined : port.number;
}

/**
 * All services that a namespace sees, if no two of them have the same host. Namespaces that see the same services share
 * one list.
 */
interface Reach {
  /** The services, oldest first. */
  readonly services: readonly ScopedService[];
  readonly byName: readonly ScopedService[];
  readonly hosts: ReadonlySet<string>;
}

const reaches = memos.memo<readonly ServiceModel[], Reach | null>("reaches");
const reachOfServices = memos.memo<readonly ScopedService[], Reach>("reaches-of-services");

/**
 * The visible services as a client reaches them. Undefined if several have the same host, because it then depends on
 * the client's namespace which one is meant.
 */
function reachOf(visible: readonly ServiceModel[]): Reach | undefined {
  let reach = reaches.get(visible);
  if (reach === undefined) {
    const hosts = new Set(visible.map((service) => service.hostname));
    const services = visible.map((service) => scopedService(service, undefined));
    reach =
      hosts.size < visible.length
        ? null
        : { services, byName: services.toSorted((left, right) => compareText(left.hostname, right.hostname)), hosts };
    reaches.set(visible, reach);
    if (reach !== null) reachOfServices.set(services, reach);
  }
  return reach ?? undefined;
}

const scopedServices = memos.keyed<ServiceModel, ScopedService>("scoped-services");

function scopedService(service: ServiceModel, port: number | undefined): ScopedService {
  return scopedServices.of(service, String(port), () => withPort(service, port));
}

function withPort(service: ServiceModel, port: number | undefined): ScopedService {
  const ports = service.ports.map((candidate) => candidate.port);
  return {
    key: serviceKey(service),
    hostname: service.hostname,
    registry: service.registry,
    ports: port === undefined ? ports : ports.filter((candidate) => candidate === port),
  };
}

function hostSelections(hosts: readonly string[], namespace: string): ReadonlyMap<string, HostSelection> {
  const selections = new Map<string, HostSelection>();
  for (const entry of hosts) {
    const slash = entry.indexOf("/");
    if (slash < 0) continue;
    const prefix = entry.slice(0, slash);
    const excluded = prefix.startsWith("~");
    const written = excluded ? prefix.slice(1) : prefix;
    // `~/host` excludes the host of every namespace.
    const name = written === "." ? namespace : written === "" ? "*" : written;
    const selection = selections.get(name) ?? { hosts: [], excluded: [] };
    (excluded ? selection.excluded : selection.hosts).push(entry.slice(slash + 1).toLowerCase());
    selections.set(name, selection);
  }
  return selections;
}

function isSelected(
  selections: ReadonlyMap<string, HostSelection>,
  namespace: string,
  host: string,
  matches: (selected: string) => boolean,
): boolean {
  const relevant = [selections.get(namespace), selections.get("*")];
  // An exclusion must cover the whole host: a wildcard stays even if one of its hosts is excluded.
  if (relevant.some((selection) => selection?.excluded.some((excluded) => hostCovers(excluded, host)) === true))
    return false;
  return relevant.some((selection) => selection?.hosts.some(matches) === true);
}

/**
 * Keeps one service for each host: that of the client's own namespace, or else a Kubernetes Service, or else the oldest
 * service. Of the ServiceEntries of one namespace, those that name the client's namespace come first.
 */
function onePerHost(services: readonly ServiceModel[], namespace: string): readonly ServiceModel[] {
  const chosen = new Map<string, ServiceModel>();
  for (const service of services) {
    const known = chosen.get(service.hostname);
    if (known === undefined || isBetter(service, known, namespace)) chosen.set(service.hostname, service);
  }
  return [...chosen.values()];
}

function isBetter(service: ServiceModel, known: ServiceModel, namespace: string): boolean {
  if (service.namespace === known.namespace && service.registry === known.registry)
    return known.visibleIn.includes("*") && !service.visibleIn.includes("*");
  const rank = (candidate: ServiceModel): number =>
    Number(candidate.namespace === namespace) * 2 + Number(candidate.registry === "Kubernetes");
  return rank(service) > rank(known);
}

/** A service has the ports of all listeners that contain it. */
function unionOfServices(
  egress: readonly SelectedEgress[],
  namespace: string,
  registry: ServiceRegistry,
  reader: CollectionReader,
): readonly ScopedService[] {
  const [only] = egress;
  const whole = egress.length === 1 && only !== undefined ? reachOfServices.get(only.scope.services) : undefined;
  if (
    whole !== undefined &&
    only?.virtualServices.every((route) =>
      [...destinationsOf(route, namespace).keys()].every((host) => whole.hosts.has(host)),
    ) === true
  )
    return whole.byName;
  const union = new Map<string, ScopedService>();
  const add = (service: ScopedService): void => {
    const known = union.get(service.hostname);
    if (known === undefined || (known.registry !== "Kubernetes" && service.registry === "Kubernetes"))
      union.set(service.hostname, service);
    else if (known.key === service.key)
      union.set(service.hostname, {
        ...known,
        ports: [...new Set([...known.ports, ...service.ports])].sort((left, right) => left - right),
      });
  };
  for (const { scope } of egress) for (const service of scope.services) add(service);
  const explicit = new Set(union.keys());
  for (const { scope, virtualServices } of egress) {
    for (const route of virtualServices) {
      for (const [host, ports] of destinationsOf(route, namespace)) {
        if (explicit.has(host)) continue;
        const service = destinationService(host, namespace, registry, reader);
        if (service !== undefined) add(destinationPorts(scopedService(service, matchedPort(scope)), ports));
      }
    }
  }
  return [...union.values()].sort((left, right) => compareText(left.hostname, right.hostname));
}

function destinationPorts(service: ScopedService, ports: ReadonlySet<number>): ScopedService {
  return ports.has(0) ? service : { ...service, ports: service.ports.filter((port) => ports.has(port)) };
}
