import { matchesLabels } from "../../../api/index.ts";
import { endpointShare, istioLabels, unixPrefix, type IstioPort } from "../../../api/istio/index.ts";
import type { Collection, CollectionGraph, CollectionIndex, CollectionReader } from "../../../kube/index.ts";
import {
  compareText,
  factsKey,
  hostnameOf,
  meshKey,
  type EndpointFacts,
  type Labels,
  type MeshSettings,
  type PodFacts,
  type ServiceEntryFacts,
  type ServiceFacts,
  type SliceFacts,
  type WorkloadEntryFacts,
} from "../facts.ts";
import { labelKeys, rarestKey } from "../selection.ts";
import { clusterView, type ClusterView } from "../cluster-view.ts";
import { memos } from "../memos.ts";
import type { MeshInputs } from "../mesh-inputs.ts";
import { workloadEntriesByLabel, workloadEntryLabels, workloadEntryTarget } from "../workload-entry.ts";
import type { OfCluster } from "../remote-inputs.ts";
import { mutualTlsModeOf, peerAuthenticationsFor, workloadMutualTls } from "../peer-authentication.ts";
import { deriveImportedEndpoints } from "./imported-services.ts";
import { discoverability } from "./service-discoverability.ts";
import {
  endpointsKey,
  identityOf,
  localityFromLabel,
  localityText,
  nowhere,
  usedEndpoints,
  workloadText,
  type Discoverability,
  type EndpointModel,
} from "./service-endpoint-model.ts";
import { podLabelKeys, podsByLabel, podsSelectedBy } from "./selected-pods.ts";
import { isAddress } from "../ip-address.ts";
import { firstByName, orderedSlices } from "./crowded-services.ts";
import { entryEndpoints, JoinedEndpoints, workloadEntryEndpoint } from "./service-entry-endpoints.ts";
import { entriesOfHost, hostIn, hostServiceKey, type EntryHosts } from "./service-entry-host.ts";
import { isTcp, racesAddresses } from "./service-entry-model.ts";
import { entryVisibilityOf } from "./service-entry-visibility.ts";
import { serviceKey, type ServiceModel, type ServiceRegistry } from "./service-model.ts";
import { isMarkedDraining, keepsDraining } from "./service-session.ts";
import { isCaptured, takesHbone, TunnelServers, withoutTunnel } from "./tunnel-servers.ts";

/** Endpoints by {@link endpointsKey}. Every port of every service has an item, even if it is empty. */
export interface ServiceEndpoints {
  /** Services of the control plane's own cluster, with their endpoints in every cluster. */
  readonly kubernetes: Collection<readonly EndpointModel[]>;
  /** Services that exist only in other clusters. */
  readonly remote: Collection<readonly EndpointModel[]>;
  /** Services of the domain `clusterset.local`. */
  readonly imported: Collection<readonly EndpointModel[]>;
  readonly entries: Collection<readonly EndpointModel[]>;
}

type EndpointOwner = Pick<ServiceModel, "namespace" | "hostname" | "variant"> & { readonly registry: string };

/** The endpoints that clients of the whole service use. */
export function getEndpoints(
  endpoints: ServiceEndpoints,
  service: EndpointOwner,
  port: number,
  reader: CollectionReader,
): readonly EndpointModel[] {
  return usedEndpoints(getAllEndpoints(endpoints, service, port, reader));
}

/**
 * Includes terminating endpoints, which a subset or a client may need, and those that are not ready.
 * {@link usedEndpoints} or {@link sentEndpoints} must choose among those that are left.
 */
export function getAllEndpoints(
  endpoints: ServiceEndpoints,
  service: EndpointOwner,
  port: number,
  reader: CollectionReader,
): readonly EndpointModel[] {
  const key = endpointsKey(serviceKey(service), port);
  if (service.registry !== "Kubernetes") return reader.get(endpoints.entries, key) ?? [];
  return (
    reader.get(endpoints.kubernetes, key) ??
    reader.get(endpoints.remote, key) ??
    reader.get(endpoints.imported, key) ??
    []
  );
}

/** Whether there are endpoints and the condition holds for all of them. */
export function everyone(endpoints: readonly EndpointModel[], holds: (endpoint: EndpointModel) => boolean): boolean {
  return endpoints.length > 0 && endpoints.every(holds);
}

/** The endpoints of a DestinationRule's subset. All endpoints if the subset is unset or has no labels. */
export function ofSubset(
  endpoints: readonly EndpointModel[],
  subset: { readonly labels: Labels } | undefined,
): readonly EndpointModel[] {
  const labels = subset?.labels ?? {};
  return Object.keys(labels).length === 0
    ? endpoints
    : endpoints.filter((endpoint) => matchesLabels(labels, endpoint.labels));
}

export function deriveServiceEndpoints(
  graph: CollectionGraph,
  inputs: MeshInputs,
  registry: Pick<ServiceRegistry, "imported" | "entryHosts">,
): ServiceEndpoints {
  const entries = deriveEntryEndpoints(graph, inputs, registry.entryHosts);
  const kubernetes = deriveKubernetesEndpoints(graph, inputs, deriveAddedEndpoints(graph, inputs, registry.entryHosts));
  const remote = deriveRemoteEndpoints(graph, inputs);
  return {
    kubernetes,
    remote,
    imported: deriveImportedEndpoints(graph, inputs, registry.imported, [kubernetes, remote]),
    entries,
  };
}

function remoteSlices(inputs: MeshInputs): CollectionIndex<SliceFacts & OfCluster> {
  return inputs.remote.slices.index("service", (slice) => [slice.service]);
}

function remoteServicesByName(inputs: MeshInputs): CollectionIndex<ServiceFacts & OfCluster> {
  return inputs.remote.services.index("name", (service) => [factsKey(service)]);
}

function deriveKubernetesEndpoints(
  graph: CollectionGraph,
  inputs: MeshInputs,
  added: Collection<PortEndpoints>,
): Collection<readonly EndpointModel[]> {
  const slices = inputs.slices.index("service", (slice) => [slice.service]);
  const servers = new TunnelServers(inputs);
  return graph.derive("endpoints-kubernetes", inputs.services, (service, reader, key) => {
    const mesh = reader.get(inputs.mesh, meshKey);
    if (mesh === undefined || service.type === "ExternalName") return [];
    const view = clusterView(undefined, mesh, inputs, reader);
    const ports = service.ports.filter((port) => port.protocol === "TCP");
    const most = endpointShare(ports.length);
    const own = orderedSlices(reader.lookup(slices, key), most).map((slice) => ({
      slice,
      targetOf: targetPorts(slice, service),
    }));
    const isHeadless = service.clusterAddresses.length === 0;
    // As in upstream, a WorkloadEntry is no endpoint of a headless Service, whose clients connect to addresses in DNS.
    const selected = isHeadless
      ? []
      : firstByName(selectedWorkloadEntries(service.namespace, service.selector, inputs, reader), most);
    const discoverable = discoverability(key, undefined, { mesh, inputs, reader });
    const host = serviceKey({
      namespace: service.namespace,
      hostname: hostnameOf(service, mesh.domain).toLowerCase(),
    });
    const ofEntries = addedEndpoints(service, host, added, { mesh, inputs, reader });
    const context = { mesh, inputs, reader, discoverable, view };
    return ports.map((port) => {
      const listed: EndpointModel[] = [];
      for (const { slice, targetOf } of own) {
        const target = targetOf(port.name);
        if (target === undefined || listed.length >= most) continue;
        for (const endpoint of sliceEndpoints(slice, service, target, most - listed.length, context))
          listed.push(servers.reach(endpoint, view.networkOf, reader));
      }
      const found = [
        ...listed,
        ...selected
          .flatMap((entry) => {
            const own = workloadEntryTarget(port, entry.spec.ports);
            if (own === undefined) return [];
            const target = { name: "", port: port.port, target: own };
            return workloadEntryEndpoint(entry, target, mesh, view.networkOf) ?? [];
          })
          .filter(isDiscoverable)
          .map((endpoint) => servers.reach(endpoint, view.networkOf, reader)),
        ...remoteEndpoints(key, port.name, { mesh, inputs, reader }),
      ];
      const ofPort = ofEntries.flatMap(([{ name = "", number }, own]) =>
        number === port.port && name === port.name ? own : [],
      );
      const all = ofPort.length === 0 ? found : new JoinedEndpoints(found).add(ofPort).endpoints;
      return [endpointsKey(host, port.port), sortedEndpoints(withDraining(all, service, mesh))] as const;
    });
  });
}

/**
 * The endpoints that ServiceEntries add to the ports of the Service, such as those of virtual machines. As in upstream,
 * an entry counts if it has the Service's namespace and host, and its port has the same number and name. Clients
 * connect to the endpoints of a headless Service directly, so an entry adds none there.
 */
function addedEndpoints(
  service: ServiceFacts,
  host: string,
  added: Collection<PortEndpoints>,
  { mesh, inputs, reader }: EndpointContext,
): PortEndpoints {
  const found = service.clusterAddresses.length === 0 ? undefined : reader.get(added, host);
  const isVisible =
    found !== undefined &&
    (mesh.serviceEntryVisibility?.applyToSidecars !== true ||
      entryVisibilityOf(service.namespace, inputs, reader) === "PUBLIC");
  return isVisible ? found : [];
}

/** The endpoints of all ServiceEntries with the host and namespace of a Service, by `namespace/host`. */
function deriveAddedEndpoints(
  graph: CollectionGraph,
  inputs: MeshInputs,
  hosts: EntryHosts,
): Collection<PortEndpoints> {
  const endpointsOf = entryEndpointsReader(inputs);
  return graph.derive("endpoints-added", hosts.keys, (key, reader): Iterable<readonly [string, PortEndpoints]> => {
    const mesh = reader.get(inputs.mesh, meshKey);
    if (mesh === undefined) return [];
    const [namespace = "", host = ""] = key.split("/");
    const suffix = `.${namespace}.svc.${mesh.domain}`.toLowerCase();
    const name = host.endsWith(suffix) ? host.slice(0, -suffix.length) : "";
    if (name === "" || reader.get(inputs.services, `${namespace}/${name}`) === undefined) return [];
    const { all } = entriesOfHost(key, hosts, mesh, reader);
    return [[key, all.flatMap((entry) => endpointsOf(entry, false, hostIn(entry, key), mesh, reader))]];
  });
}

/**
 * Whether endpoint discovery may send the endpoint. Envoy rejects host names there, because it does not look them up.
 */
function isDiscoverable({ address, port }: EndpointModel): boolean {
  return port === 0 || isAddress(address);
}

/** If several clusters have the service, the first cluster defines its ports. */
function deriveRemoteEndpoints(graph: CollectionGraph, inputs: MeshInputs): Collection<readonly EndpointModel[]> {
  return graph.derive("endpoints-remote", inputs.remote.services, (service, reader) => {
    const mesh = reader.get(inputs.mesh, meshKey);
    const key = factsKey(service);
    if (mesh === undefined || service.type === "ExternalName" || reader.get(inputs.services, key) !== undefined)
      return [];
    return service.ports
      .filter((port) => port.protocol === "TCP")
      .map(
        (port) =>
          [
            endpointsKey(`${service.namespace}/${hostnameOf(service, mesh.domain).toLowerCase()}`, port.port),
            sortedEndpoints(withDraining(remoteEndpoints(key, port.name, { mesh, inputs, reader }), service, mesh)),
          ] as const,
      );
  });
}

interface EndpointContext {
  readonly mesh: MeshSettings;
  readonly inputs: MeshInputs;
  readonly reader: CollectionReader;
}

interface SliceContext extends EndpointContext {
  readonly view: ClusterView;
  readonly discoverable: Discoverability | undefined;
}

/** The endpoints in other clusters for a port, by its name, of the service `namespace/name`. */
function remoteEndpoints(service: string, portName: string, context: EndpointContext): readonly EndpointModel[] {
  const { mesh, inputs, reader } = context;
  const found = reader.lookup(remoteSlices(inputs), service);
  if (found.length === 0) return [];
  const services = new Map(
    reader.lookup(remoteServicesByName(inputs), service).map((facts) => [facts.clusterId, facts]),
  );
  const views = new Map<string, ClusterView>();
  return found.flatMap((slice) => {
    const own = services.get(slice.clusterId);
    if (own === undefined) return [];
    const view = views.get(slice.clusterId) ?? clusterView(slice.clusterId, mesh, inputs, reader);
    views.set(slice.clusterId, view);
    const discoverable = discoverability(service, slice.clusterId, context);
    const target = targetPorts(slice, own)(portName);
    const most = endpointShare(own.ports.length);
    return target === undefined ? [] : sliceEndpoints(slice, own, target, most, { ...context, discoverable, view });
  });
}

function deriveEntryEndpoints(
  graph: CollectionGraph,
  inputs: MeshInputs,
  hosts: EntryHosts,
): Collection<readonly EndpointModel[]> {
  const endpointsOf = entryEndpointsReader(inputs);
  return graph.derive(
    "endpoints-entries",
    hosts.keys,
    (key, reader): Iterable<readonly [string, readonly EndpointModel[]]> => {
      const mesh = reader.get(inputs.mesh, meshKey);
      if (mesh === undefined) return [];
      const { services, all } = entriesOfHost(key, hosts, mesh, reader);
      // The services of a host seldom differ in whether their clusters look up names, so the endpoints are read once.
      const found = new Map<boolean, PortEndpoints>();
      return services.flatMap(({ entries, variant }) => {
        const [oldest] = entries;
        if (oldest === undefined) return [];
        const byName = looksUpNames(oldest);
        const endpoints =
          found.get(byName) ?? all.flatMap((entry) => endpointsOf(entry, byName, hostIn(entry, key), mesh, reader));
        found.set(byName, endpoints);
        return [...joinedEndpoints(entries, endpoints)].map(
          ([port, own]) =>
            [
              endpointsKey(hostServiceKey(key, variant), port),
              sortedEndpoints(withDraining(own, oldest, mesh)),
            ] as const,
        );
      });
    },
  );
}

type PortEndpoints = readonly (readonly [port: IstioPort, endpoints: readonly EndpointModel[]])[];

/**
 * The endpoints of a service's ports, from all entries of its host. As in upstream, ports are the same if their numbers
 * and names are equal. The first name of a number counts.
 */
function joinedEndpoints(
  entries: readonly ServiceEntryFacts[],
  endpoints: PortEndpoints,
): ReadonlyMap<number, readonly EndpointModel[]> {
  const names = new Map<number, string>();
  for (const { name = "", number } of entries.flatMap(({ spec }) => spec.ports.filter(isTcp)))
    if (!names.has(number)) names.set(number, name);
  // A proxy that looks up one name at a time refuses a cluster with several.
  const isOneName = entries[0]?.spec.resolution === "DNS_ROUND_ROBIN" || racesAddresses(entries);
  const joined = new Map<number, JoinedEndpoints>();
  for (const [{ name = "", number }, own] of endpoints) {
    if (names.get(number) !== name || own.length === 0) continue;
    const known = joined.get(number);
    if (known === undefined) joined.set(number, new JoinedEndpoints(isOneName ? own.slice(0, 1) : own));
    else if (!isOneName) known.add(own);
  }
  return new Map([...names.keys()].map((number) => [number, joined.get(number)?.endpoints ?? []]));
}

function looksUpNames({ spec: { resolution } }: ServiceEntryFacts): boolean {
  return resolution === "DNS" || resolution === "DNS_ROUND_ROBIN" || resolution === "DYNAMIC_DNS";
}

/** Reads the endpoints of each port of a ServiceEntry, as far as a cluster of its host may have them. */
function entryEndpointsReader(inputs: MeshInputs) {
  const pods = podsByLabel(inputs);
  const remotePods = inputs.remote.pods.index("label", podLabelKeys);
  const servers = new TunnelServers(inputs);
  /** `isByName` says whether the clusters of the host look up names. Another entry may decide that. */
  return (
    entry: ServiceEntryFacts,
    isByName: boolean,
    host: string,
    mesh: MeshSettings,
    reader: CollectionReader,
  ): PortEndpoints => {
    const selector = entry.spec.workloadSelector?.labels ?? {};
    const view = clusterView(undefined, mesh, inputs, reader);
    const most = endpointShare(entry.spec.hosts.length * entry.spec.ports.length);
    const workloads = firstByName(selectedWorkloadEntries(entry.namespace, selector, inputs, reader), most);
    const selectedPods = firstByName(
      [
        ...podsSelectedBy(pods, entry.namespace, selector, reader),
        ...podsSelectedBy(remotePods, entry.namespace, selector, reader),
      ].filter((pod) => pod.ready && pod.addresses.length > 0),
      most - workloads.length,
    );
    const viewOf = ({ clusterId }: PodFacts): ClusterView =>
      clusterId === undefined ? view : clusterView(clusterId, mesh, inputs, reader);
    return entry.spec.ports.filter(isTcp).map((port) => {
      const target = { name: port.name ?? "", port: port.number, target: port.targetPort ?? 0 };
      const found = [
        ...[
          ...entryEndpoints(entry, host, target, mesh, view.networkOf),
          ...workloads.flatMap((workload) => workloadEntryEndpoint(workload, target, mesh, view.networkOf) ?? []),
        ].map((endpoint) => (isByName ? withoutTunnel(endpoint) : servers.reach(endpoint, view.networkOf, reader))),
        ...selectedPods.map((pod) =>
          podEndpoint(pod, pod.addresses[0] ?? "", target.target === 0 ? target.port : target.target, viewOf(pod), {
            mesh,
            inputs,
            reader,
          }),
        ),
      ];
      // A proxy refuses a cluster that looks up names and has a socket in its file system.
      return [port, found.filter(isByName ? (endpoint) => endpoint.port !== 0 : isDiscoverable)] as const;
    });
  };
}

/** Workloads that drain by their label serve only sessions. A service without sessions leaves them out. */
function withDraining(
  endpoints: readonly EndpointModel[],
  service: { readonly labels: Labels },
  mesh: MeshSettings,
): readonly EndpointModel[] {
  const isMarked = ({ labels }: EndpointModel): boolean => isMarkedDraining(labels, mesh);
  if (!endpoints.some(isMarked)) return endpoints;
  if (!keepsDraining(service, mesh)) return endpoints.filter((endpoint) => !isMarked(endpoint));
  return endpoints.map((endpoint) => (isMarked(endpoint) ? { ...endpoint, draining: true } : endpoint));
}

/** Sorts endpoints by locality and address, so that equal sets produce equal resources. */
function sortedEndpoints(endpoints: readonly EndpointModel[]): readonly EndpointModel[] {
  return [...endpoints].sort(
    (left, right) =>
      compareText(localityText(left.locality), localityText(right.locality)) ||
      compareText(left.address, right.address) ||
      left.port - right.port ||
      compareText(left.clusterId, right.clusterId),
  );
}

/** The endpoints of a slice for one port, of which at most the given number is read. */
function sliceEndpoints(
  slice: SliceFacts,
  service: ServiceFacts,
  target: number,
  most: number,
  context: SliceContext,
): readonly EndpointModel[] {
  const { discoverable, view } = context;
  const modelsOf = (endpoint: EndpointFacts): readonly EndpointModel[] => {
    const pod = endpoint.pod === "" ? undefined : view.pod(endpoint.pod);
    // The pod is not known yet, or no longer known. Without its labels, clients would send plain text.
    if (pod === undefined && endpoint.pod !== "") return [];
    return endpoint.addresses.map((address) => {
      const found =
        pod === undefined
          ? addressEndpoint(address, target, endpoint.node, view)
          : podEndpoint(pod, address, target, view, context);
      return discoverable === undefined ? found : { ...found, discoverable };
    });
  };
  const models: EndpointModel[] = [];
  const add = (
    endpoints: readonly EndpointFacts[],
    changesOf: (endpoint: EndpointFacts) => Partial<EndpointModel> | undefined,
  ): void => {
    for (const endpoint of endpoints) {
      if (models.length >= most) return;
      const changes = changesOf(endpoint);
      for (const model of modelsOf(endpoint).slice(0, most - models.length))
        models.push(changes === undefined ? model : { ...model, ...changes });
    }
  };
  add(slice.endpoints, ({ ready }) => (ready || service.publishNotReady ? undefined : { unready: true }));
  const sessions = keepsDraining(service, context.mesh) ? ({ draining: true } as const) : {};
  add(slice.draining ?? [], () => ({ ...sessions, terminating: true }));
  return models;
}

/**
 * Returns a function that finds the target port of a service's port by its name. A slice follows its Service with a
 * delay. A port that was renamed is therefore found by its number, among the slice's ports whose names the Service does
 * not have.
 */
function targetPorts(slice: SliceFacts, service: ServiceFacts): (portName: string) => number | undefined {
  const byName = new Map(slice.ports.toReversed().map(({ name, port }) => [name, port]));
  const targets = new Map(service.ports.toReversed().map(({ name, target }) => [name, target]));
  const renamed = new Set<number | string | undefined>(
    slice.ports.flatMap(({ name, port }) => (targets.has(name) ? [] : port)),
  );
  return (portName) => {
    const target = targets.get(portName);
    return byName.get(portName) ?? (typeof target === "number" && renamed.has(target) ? target : undefined);
  };
}

/** An endpoint whose address does not belong to a pod. */
function addressEndpoint(address: string, port: number, node: string, view: ClusterView): EndpointModel {
  const place = {
    locality: view.node(node) ?? nowhere,
    network: view.networkOf(address, {}),
    clusterId: view.id,
    node,
  };
  return {
    address,
    port,
    labels: {},
    identity: "",
    mutualTls: false,
    hbone: false,
    captured: false,
    ...place,
    weight: 1,
    workload: "",
  };
}

function podEndpoint(
  pod: PodFacts,
  address: string,
  port: number,
  view: ClusterView,
  { mesh, inputs, reader }: EndpointContext,
): EndpointModel {
  const node = view.node(pod.node);
  return {
    address,
    port,
    labels: pod.labels,
    identity: identityOf(mesh, pod.namespace, pod.serviceAccount),
    mutualTls: pod.labels[istioLabels.tlsMode] === "istio" && takesMutualTls(pod, port, mesh, inputs, reader),
    hbone: takesHbone(pod),
    captured: isCaptured(pod),
    locality:
      localityFromLabel(pod.labels) ??
      (node === undefined ? nowhere : { region: node.region, zone: node.zone, subzone: node.subzone }),
    network: view.networkOf(address, pod.labels),
    clusterId: view.id,
    node: pod.node,
    weight: 1,
    workload: workloadText(pod.workloadName, pod.namespace, pod.labels, view.id),
    ...(!pod.hostNetwork && pod.addresses.includes(address) ? { ofPod: true } : {}),
  };
}

/** Whether PeerAuthentications allow Istio's mutual TLS on the workload's port. */
function takesMutualTls(
  pod: PodFacts,
  port: number,
  mesh: MeshSettings,
  inputs: MeshInputs,
  reader: CollectionReader,
): boolean {
  const policies = peerAuthenticationsFor(pod, mesh.rootNamespace, inputs, reader);
  return (
    policies.length === 0 || mutualTlsModeOf(workloadMutualTls(pod, mesh.rootNamespace, policies), port) !== "DISABLE"
  );
}

/**
 * The healthy WorkloadEntries that a selector matches. As in upstream, one with a socket in the file system is no
 * endpoint of a Service or ServiceEntry that selects it: only the `endpoints` of a ServiceEntry may name sockets, which
 * are those of the client's own file system.
 */
function selectedWorkloadEntries(
  namespace: string,
  selector: Labels,
  inputs: MeshInputs,
  reader: CollectionReader,
): readonly WorkloadEntryFacts[] {
  const entries = workloadEntriesByLabel(inputs);
  const rarest = rarestKey(entries, labelKeys(namespace, selector));
  if (rarest === undefined) return [];
  const candidates = reader.lookup(entries, rarest);
  return candidates.length === 0
    ? candidates
    : selectedEntries.of(candidates, JSON.stringify(selector), () =>
        candidates.filter(
          (entry) =>
            entry.unhealthy !== true &&
            entry.spec.address?.startsWith(unixPrefix) !== true &&
            matchesLabels(selector, workloadEntryLabels(entry)),
        ),
      );
}

/**
 * The selected entries of those with a label, cached by selector. Each host of a ServiceEntry asks for the same ones.
 */
const selectedEntries = memos.keyed<readonly WorkloadEntryFacts[], readonly WorkloadEntryFacts[]>(
  "selected-workload-entries",
);
