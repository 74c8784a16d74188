import { matchesLabels } from "../../../api/index.ts";
import { endpointShare } from "../../../api/istio/index.ts";
import type { Collection, CollectionGraph, CollectionIndex, CollectionReader } from "../../../kube/index.ts";
import { factsKey, hostnameOf, meshKey, type Labels, type ServiceFacts, type SliceFacts } from "../facts.ts";
import { clusterView, type ClusterView } from "../cluster-view.ts";
import type { MeshInputs } from "../mesh-inputs.ts";
import { workloadEntryTarget } from "../workload-entry.ts";
import type { OfCluster } from "../remote-inputs.ts";
import { deriveImportedEndpoints } from "./imported-services.ts";
import { discoverability } from "./service-discoverability.ts";
import { endpointsKey, usedEndpoints, type EndpointModel } from "./service-endpoint-model.ts";
import { firstByName, orderedSlices } from "./crowded-services.ts";
import { JoinedEndpoints, workloadEntryEndpoint } from "./service-entry-endpoints.ts";
import { entryVisibilityOf } from "./service-entry-visibility.ts";
import { serviceKey, type ServiceModel, type ServiceRegistry } from "./service-model.ts";
import { TunnelServers } from "./tunnel-servers.ts";
import {
  deriveAddedEndpoints,
  deriveEntryEndpoints,
  isDiscoverable,
  selectedWorkloadEntries,
  type PortEndpoints,
} from "./derive-entry-endpoints.ts";
import { sliceEndpoints, targetPorts, type EndpointContext } from "./slice-endpoints.ts";
import { sortedEndpoints, withDraining } from "./sorted-endpoints.ts";

/** The endpoints of each port of every service, by {@link endpointsKey}. A port without endpoints also has an item. */
export interface ServiceEndpoints {
  /** Services of the control plane's own cluster, with their endpoints in all clusters. */
  readonly kubernetes: Collection<readonly EndpointModel[]>;
  /** Services that exist only in other clusters. */
  readonly remote: Collection<readonly EndpointModel[]>;
  /** Services of the domain `clusterset.local`. */
  readonly imported: Collection<readonly EndpointModel[]>;
  readonly entries: Collection<readonly EndpointModel[]>;
}

type EndpointOwner = Pick<ServiceModel, "namespace" | "hostname" | "variant"> & { readonly registry: string };

export function getEndpoints(
  endpoints: ServiceEndpoints,
  service: EndpointOwner,
  port: number,
  reader: CollectionReader,
): readonly EndpointModel[] {
  return usedEndpoints(getAllEndpoints(endpoints, service, port, reader));
}

/**
 * The endpoints of a port. They include terminating ones, which a subset or a client may need, and those that are not
 * ready. The caller filters them, and then selects with {@link usedEndpoints} or {@link sentEndpoints}.
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

export function everyone(endpoints: readonly EndpointModel[], holds: (endpoint: EndpointModel) => boolean): boolean {
  return endpoints.length > 0 && endpoints.every(holds);
}

/** All endpoints if the subset is unset or has no labels. */
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
    // As in upstream, a WorkloadEntry is no endpoint of a headless Service, whose clients connect to the addresses in
    // DNS.
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
 * The endpoints, such as those of virtual machines, that ServiceEntries add to the ports of a Service. As in upstream,
 * an entry adds endpoints if it has the Service's namespace and host and its port has the same number and name. It adds
 * none to a headless Service, whose clients connect to the endpoints in DNS.
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

/**
 * The endpoints of services that exist only in other clusters. If several clusters have the service, the first one
 * defines its ports.
 */
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

/** The endpoints in other clusters for the port `portName` of the service `namespace/name`. */
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
