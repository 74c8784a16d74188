import { matchesLabels } from "../../api/index.ts";
import {
  withOwnProxyConfig,
  type CaptureMode,
  type Destination,
  type IstioPort,
  type OwnProxyConfig,
  type SidecarEgress,
  type SidecarSpec,
} from "../../api/istio/index.ts";
import type { Collection, CollectionGraph, CollectionReader, SourceCollection } from "../../kube/index.ts";
import { canonicalLabels } from "./canonical.ts";
import { clientLabelNames, clientLabelsKey, type DestinationRules } from "./destination-rule-model.ts";
import {
  byAge,
  compareText,
  factsKey,
  meshFailoverLabels,
  meshKey,
  type Labels,
  type MeshSettings,
  type SidecarFacts,
  type TrafficPreference,
} from "./facts.ts";
import type { MeshInputs } from "./mesh-inputs.ts";
import { gatewaysOf, type NetworkGatewaysModel } from "./network-gateways.ts";
import { memos } from "./memos.ts";
import { hasSelector } from "./selection.ts";
import { localityText, type LocalityModel } from "./service/service-endpoint-model.ts";
import { hostCovers, hostsOverlap } from "./service/service-hostname.ts";
import {
  getService,
  isVisible,
  serviceKey,
  servicesOfHost,
  servicesSeenFrom,
  type ServiceModel,
  type ServiceRegistry,
} from "./service/service-model.ts";
import {
  meshGateway,
  sourceLabelNames,
  sourceLabelsKey,
  type VirtualServices,
} from "./routing/virtual-service-model.ts";
import { destinationsOf, virtualServiceShapesOf, type VirtualServiceShape } from "./routing/virtual-service-shape.ts";

/**
 * Proxies that receive equal configuration: those of one namespace with the same labels in one locality. A group is
 * added when its first proxy connects.
 */
export interface ProxyGroup {
  readonly kind: "sidecar" | "router";
  readonly namespace: string;
  readonly labels: Labels;
  readonly locality: LocalityModel;
  readonly node: string;
  readonly network: string;
  /** Absent means the cluster of the control plane. */
  readonly clusterId?: string | undefined;
  /** The networks whose endpoints the proxies request. Absent means all. */
  readonly networkView?: readonly string[] | undefined;
  readonly hbone: boolean;
  /** Whether the proxies answer DNS themselves. */
  readonly dnsCapture: boolean;
  /** The proxy settings that differ from the mesh. Absent if there are none. */
  readonly proxyConfig?: OwnProxyConfig | undefined;
}

/** The scope of a group. Groups share a scope unless they differ in something that configuration matches. */
export interface ScopeChoice {
  readonly scope: string;
  readonly kind: ProxyGroup["kind"];
  readonly namespace: string;
  /** The labels that configuration matches. All others are left out. */
  readonly labels: Labels;
  /** Undefined while no configuration depends on the clients' locality. */
  readonly locality: LocalityModel | undefined;
  readonly node: string;
  /** Undefined while no configuration depends on the clients' network. */
  readonly network: string | undefined;
  readonly clusterId: string | undefined;
  readonly networkView: readonly string[] | undefined;
  readonly hbone: boolean;
  readonly dnsCapture: boolean;
  readonly proxyConfig?: OwnProxyConfig | undefined;
  /** The key of the Sidecar. Undefined means everything that is exported to the namespace. */
  readonly sidecar: string | undefined;
}

/** A service in a scope. The scope may contain only some of its ports. */
export interface ScopedService {
  /** `namespace/hostname`. */
  readonly key: string;
  readonly hostname: string;
  readonly registry: ServiceModel["registry"];
  readonly ports: readonly number[];
}

/** The destinations of one egress listener of a Sidecar. */
export interface EgressScope {
  /** Absent means every port. */
  readonly port: IstioPort | undefined;
  readonly bind: string | undefined;
  readonly captureMode: CaptureMode;
  /** Oldest first. */
  readonly services: readonly ScopedService[];
  /** Listeners with the same reach share one list of services, across scopes. Undefined means a list of its own. */
  readonly reach: string | undefined;
  /** Keys in the order of precedence. */
  readonly virtualServices: readonly string[];
}

/** Everything that the proxies of one scope can reach. */
export interface OutboundScope extends ScopeChoice {
  readonly egress: readonly EgressScope[];
  /** The services of all egress listeners, and those that their VirtualServices name. At most one for each host. */
  readonly services: readonly ScopedService[];
  readonly unknownTraffic: MeshSettings["outboundTrafficPolicy"];
  readonly egressProxy: Destination | undefined;
}

export interface ScopeSources {
  readonly inputs: MeshInputs;
  readonly registry: ServiceRegistry;
  readonly virtualServices: VirtualServices;
  readonly destinationRules: DestinationRules;
  readonly networkGateways: NetworkGatewaysModel;
}

export interface OutboundScopes {
  readonly groups: SourceCollection<ProxyGroup>;
  /** By the group's key. */
  readonly choices: Collection<ScopeChoice>;
  readonly scopes: Collection<OutboundScope>;
}

export function deriveOutboundScopes(graph: CollectionGraph, sources: ScopeSources): OutboundScopes {
  const groups = graph.source<ProxyGroup>("proxy-groups");
  const { services, serviceEntries, namespaces } = sources.inputs;
  const stated = ({ preference = "none" }: { readonly preference?: TrafficPreference }): readonly string[] =>
    preference === "none" ? [] : ["any"];
  const preferring = [
    services.index("preference", stated),
    serviceEntries.index("preference", stated),
    namespaces.index("preference", stated),
  ] as const;
  const choices = graph.derive("scope-choices", groups, (group, reader, key) => {
    const mesh = reader.get(sources.inputs.mesh, meshKey);
    if (mesh === undefined) return [];
    const { localityLbSetting: locality, defaultTrafficPolicy: defaults } = mesh;
    const meshWide =
      mesh.zoneAwareLbSetting !== undefined ||
      (locality.enabled !== false && (locality.distribute.length > 0 || defaults.outlierDetection !== undefined));
    const needsPlace =
      meshWide ||
      reader.lookup(sources.destinationRules.withLocality, clientLabelsKey).length > 0 ||
      preferring.some((index) => reader.lookup<unknown>(index, "any").length > 0);
    const needsNetwork =
      needsPlace ||
      mesh.ambientMultiNetwork === true ||
      gatewaysOf(sources.networkGateways.unresolved, reader).all.length > 0;
    return [[key, chooseScope(group, { needsPlace, needsNetwork }, mesh, sources, reader)]];
  });
  // One object for each scope, regardless of how many groups share it.
  const chosen = graph.flatten(
    "chosen-scopes",
    choices,
    (choice) => [choice],
    ({ scope }) => scope,
  );
  const scopes = graph.derive("outbound-scopes", chosen, (choice, reader) => {
    const mesh = reader.get(sources.inputs.mesh, meshKey);
    return mesh === undefined ? [] : [[choice.scope, outboundScope(choice, mesh, sources, reader)]];
  });
  return { groups, choices, scopes };
}

const anySelector = "any";

function chooseScope(
  group: ProxyGroup,
  { needsPlace, needsNetwork }: { readonly needsPlace: boolean; readonly needsNetwork: boolean },
  mesh: MeshSettings,
  sources: ScopeSources,
  reader: CollectionReader,
): ScopeChoice {
  const telemetries = sources.inputs.telemetries.index("selector", (telemetry) =>
    hasSelector(telemetry) ? [anySelector] : [],
  );
  const matchedNames = new Set([
    ...reader.lookup(sources.virtualServices.withSourceLabels, sourceLabelsKey).flatMap(sourceLabelNames),
    ...reader.lookup(sources.destinationRules.withClientLabels, clientLabelsKey).flatMap(clientLabelNames),
    ...reader.lookup(telemetries, anySelector).flatMap(({ spec }) => Object.keys(spec.selector?.matchLabels ?? {})),
    ...(isTraced(withOwnProxyConfig(mesh, group.proxyConfig), sources.inputs, reader) ? canonicalLabels : []),
    ...meshFailoverLabels(mesh),
  ]);
  const labels = Object.fromEntries(
    Object.entries(group.labels)
      .filter(([name]) => matchedNames.has(name))
      .sort(([left], [right]) => compareText(left, right)),
  );
  const found = group.kind === "sidecar" ? sidecarFor(group, mesh, sources.inputs, reader) : undefined;
  const sidecar = found === undefined ? undefined : factsKey(found);
  const locality = needsPlace ? group.locality : undefined;
  const node = needsPlace ? group.node : "";
  const { clusterId, proxyConfig } = group;
  const networkView = group.networkView === undefined || group.networkView.length === 0 ? undefined : group.networkView;
  const network = needsNetwork ? group.network : undefined;
  const where = [
    clusterId === undefined ? "" : `cluster:${clusterId}`,
    network === undefined || network === "" ? "" : `network:${network}`,
    networkView === undefined ? "" : `view:${networkView.join(",")}`,
    proxyConfig === undefined ? "" : `config:${JSON.stringify(proxyConfig)}`,
  ].filter((part) => part !== "");
  const scope = [
    group.kind,
    group.namespace,
    sidecar ?? "",
    group.hbone ? "hbone" : "",
    group.dnsCapture ? "dns" : "",
    locality === undefined ? "" : `${localityText(locality)}@${node}`,
    JSON.stringify(labels),
    ...where,
  ].join(" ");
  return {
    scope,
    kind: group.kind,
    namespace: group.namespace,
    labels,
    locality,
    node,
    network,
    clusterId,
    networkView,
    hbone: group.hbone,
    dnsCapture: group.dnsCapture,
    ...(proxyConfig === undefined ? {} : { proxyConfig }),
    sidecar,
  };
}

/** Whether tracing is on. Spans contain the workload's name, so clients of different workloads cannot share a scope. */
function isTraced(mesh: MeshSettings, inputs: MeshInputs, reader: CollectionReader): boolean {
  const tracing = inputs.telemetries.index("tracing", ({ spec }) => (spec.tracing.length > 0 ? [anySelector] : []));
  return (
    mesh.defaultTracingProviders.length > 0 ||
    mesh.tracing !== undefined ||
    reader.lookup(tracing, anySelector).length > 0
  );
}

/**
 * The Sidecar of a workload: one of its namespace that selects it, else one for the whole namespace, else the root
 * namespace's. The oldest wins among equals.
 */
export function sidecarFor(
  workload: { readonly namespace: string; readonly labels: Labels },
  mesh: MeshSettings,
  inputs: MeshInputs,
  reader: CollectionReader,
): SidecarFacts | undefined {
  const byNamespace = inputs.sidecars.index("namespace", (sidecar) => [sidecar.namespace]);
  const selectorOf = ({ spec }: SidecarFacts): Labels => spec.workloadSelector?.labels ?? {};
  const isForAll = (sidecar: SidecarFacts): boolean => Object.keys(selectorOf(sidecar)).length === 0;
  const own = reader.lookup(byNamespace, workload.namespace).toSorted(byAge);
  return (
    own.find((sidecar) => !isForAll(sidecar) && matchesLabels(selectorOf(sidecar), workload.labels)) ??
    own.find(isForAll) ??
    reader.lookup(byNamespace, mesh.rootNamespace).toSorted(byAge).find(isForAll)
  );
}

const everything: SidecarEgress = { captureMode: "DEFAULT", hosts: ["*/*"] };

function outboundScope(
  choice: ScopeChoice,
  mesh: MeshSettings,
  sources: ScopeSources,
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

/** The hosts of one namespace in an egress listener. */
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
            isSelected(selections, service.namespace, (host) => hostCovers(host, service.hostname)),
          ),
          namespace,
        )
      : visible;
  const virtualServices = routes.filter((route) =>
    route.hosts.some((own) => isSelected(selections, route.namespace, (host) => hostsOverlap(host, own))),
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

/** The port by which an egress listener selects services. An HTTP proxy listener has all services. */
function matchedPort({ port }: Pick<SidecarEgress, "port">): number | undefined {
  return port === undefined || port.number === 0 || port.protocol === "HTTP_PROXY" ? undefined : port.number;
}

/**
 * All services that a namespace sees, if no two have the same host. Namespaces that see the same services then share
 * one list.
 */
interface Reach {
  /** Oldest first. */
  readonly services: readonly ScopedService[];
  readonly byName: readonly ScopedService[];
  readonly hosts: ReadonlySet<string>;
}

const reaches = memos.memo<readonly ServiceModel[], Reach | null>("reaches");
const reachOfServices = memos.memo<readonly ScopedService[], Reach>("reaches-of-services");

/** Undefined if several services have one host, because then the client's namespace decides which one is meant. */
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
    const excluded = prefix.length > 1 && prefix.startsWith("~");
    const written = excluded ? prefix.slice(1) : prefix;
    const name = written === "." ? namespace : written;
    const selection = selections.get(name) ?? { hosts: [], excluded: [] };
    (excluded ? selection.excluded : selection.hosts).push(entry.slice(slash + 1).toLowerCase());
    selections.set(name, selection);
  }
  return selections;
}

function isSelected(
  selections: ReadonlyMap<string, HostSelection>,
  namespace: string,
  matches: (host: string) => boolean,
): boolean {
  const relevant = [selections.get(namespace), selections.get("*")];
  if (relevant.some((selection) => selection?.excluded.some(matches) === true)) return false;
  return relevant.some((selection) => selection?.hosts.some(matches) === true);
}

/**
 * Keeps one service for each host: that of the client's own namespace, else one with a Kubernetes Service, else the
 * oldest.
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
  const rank = (candidate: ServiceModel): number =>
    Number(candidate.namespace === namespace) * 2 + Number(candidate.registry === "Kubernetes");
  return rank(service) > rank(known);
}

/** Joins listeners: a service has the ports of all listeners that contain it. */
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

/** The service to which a route's destination refers: one of the client's namespace, else the best visible one. */
export function destinationService(
  host: string,
  namespace: string,
  registry: ServiceRegistry,
  reader: CollectionReader,
): ServiceModel | undefined {
  const own = getService(registry, `${namespace}/${host}`, reader);
  if (own !== undefined) return own;
  const visible = servicesOfHost(registry, host, reader).filter((service) => isVisible(service, namespace));
  return (
    visible.find((service) => service.registry === "Kubernetes") ??
    [...visible].sort(
      (left, right) => compareText(left.createdAt, right.createdAt) || compareText(left.namespace, right.namespace),
    )[0]
  );
}
