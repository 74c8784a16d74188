import { ownField } from "../../../base/index.ts";
import type { Collection, CollectionGraph, CollectionIndex, CollectionReader } from "../../../kube/index.ts";
import {
  byCreation,
  compareText,
  factsKey,
  hostnameOf,
  meshKey,
  type MeshSettings,
  type ServiceFacts,
  type TrafficPreference,
} from "../facts.ts";
import { memos } from "../memos.ts";
import { aliasTarget } from "./alias-target.ts";
import { deriveImportedServices } from "./imported-services.ts";
import type { MeshInputs } from "../mesh-inputs.ts";
import type { OfCluster } from "../remote-inputs.ts";
import type { ServiceModel } from "./service.ts";
import { givenAddresses, isGivenToOthers, type GivenAddresses } from "./given-addresses.ts";
import { entryVisibilityOf } from "./service-entry-visibility.ts";
import {
  deriveEntryHosts,
  entriesOfHost,
  hostIn,
  hostServiceKey,
  type EntriesOfService,
  type EntryHosts,
} from "./service-entry-host.ts";
import { serviceEntryModel } from "./service-entry-model.ts";
import { visibilityOf } from "./service-visibility.ts";

export type { ServiceModel, ServicePortModel } from "./service.ts";

/**
 * The services by {@link serviceKey}. A Kubernetes Service takes precedence over a ServiceEntry with the same host and
 * namespace.
 */
export interface ServiceRegistry {
  readonly kubernetes: Collection<ServiceModel>;
  /** Services that exist only in other clusters. */
  readonly remote: Collection<ServiceModel>;
  /** Hosts of `clusterset.local`, which are other names of exported services. */
  readonly imported: Collection<ServiceModel>;
  readonly entries: Collection<ServiceModel>;
  readonly entryHosts: EntryHosts;
  readonly byHost: readonly CollectionIndex<ServiceModel>[];
  readonly byVisibility: readonly CollectionIndex<ServiceModel>[];
  /** The aliases by the host to which they point. */
  readonly aliases: CollectionIndex<ServiceModel>;
  /** The aliases, all under the key `any`. */
  readonly allAliases: CollectionIndex<ServiceModel>;
}

type ServiceName = Pick<ServiceModel, "namespace" | "hostname" | "variant">;

export function serviceKey({ namespace, hostname, variant }: ServiceName): string {
  return hostServiceKey(`${namespace}/${hostname}`, variant);
}

export function deriveServiceRegistry(graph: CollectionGraph, inputs: MeshInputs): ServiceRegistry {
  const remotes = inputs.remote.services.index("name", (service) => [factsKey(service)]);
  const kubernetes = graph.derive("services-kubernetes", inputs.services, (service, reader) => {
    const mesh = reader.get(inputs.mesh, meshKey);
    if (mesh === undefined) return [];
    const model = kubernetesService(service, mesh, reader.lookup(remotes, factsKey(service)));
    const preference =
      service.inheritsPreference === true ? namespacePreference(service.namespace, inputs, reader) : service.preference;
    const aliasOf = model.aliasOf === "" ? "" : aliasTarget(model.aliasOf, mesh.domain, inputs, reader);
    return [[serviceKey(model), { ...model, preference, aliasOf }]];
  });
  const remote = graph.derive("services-remote", inputs.remote.services, (service, reader) => {
    const mesh = reader.get(inputs.mesh, meshKey);
    if (mesh === undefined || reader.get(inputs.services, factsKey(service)) !== undefined) return [];
    const model = kubernetesService(service, mesh, reader.lookup(remotes, factsKey(service)));
    return [[serviceKey(model), model]];
  });
  const entryHosts = deriveEntryHosts(graph, inputs);
  const given = givenAddresses(inputs);
  const entries = graph.derive("services-entries", entryHosts.keys, (key, reader) => {
    const mesh = reader.get(inputs.mesh, meshKey);
    if (mesh === undefined) return [];
    return entriesOfHost(key, entryHosts, mesh, reader).services.flatMap((group) => {
      const model = serviceOfEntries(key, group, mesh, { inputs, given, reader });
      return model === undefined ? [] : [[hostServiceKey(key, group.variant), model] as const];
    });
  });
  const imported = deriveImportedServices(graph, inputs, [kubernetes, remote]);
  const all = [kubernetes, remote, imported, entries];
  return {
    kubernetes,
    remote,
    imported,
    entries,
    entryHosts,
    byHost: all.map((collection) => collection.index("host", (service) => [service.hostname])),
    byVisibility: all.map((collection) => collection.index("visible", (service) => service.visibleIn)),
    aliases: kubernetes.index("alias", (service) => (service.aliasOf === "" ? [] : [service.aliasOf])),
    allAliases: kubernetes.index("any-alias", (service) => (service.aliasOf === "" ? [] : ["any"])),
  };
}

interface EntryContext {
  readonly inputs: MeshInputs;
  readonly given: GivenAddresses;
  readonly reader: CollectionReader;
}

function serviceOfEntries(
  key: string,
  { entries, variant }: EntriesOfService,
  mesh: MeshSettings,
  { inputs, given, reader }: EntryContext,
): ServiceModel | undefined {
  const [oldest] = entries;
  if (oldest === undefined) return undefined;
  const { namespace } = oldest;
  const visibility =
    mesh.serviceEntryVisibility?.applyToSidecars === true ? entryVisibilityOf(namespace, inputs, reader) : "PUBLIC";
  const hosts = entries.map((entry) => ({ entry, host: hostIn(entry, key) }));
  const model = serviceEntryModel(hosts, mesh, visibility);
  if (model === undefined) return undefined;
  const ownOf = (named: readonly string[]): Pick<ServiceModel, "addresses" | "lostAddresses"> => {
    const addresses = named.filter((address) => !isGivenToOthers(address, namespace, given, reader));
    return { addresses, ...(addresses.length === 0 && named.length > 0 ? { lostAddresses: true } : {}) };
  };
  const ofPorts = model.addressesOfPorts;
  return {
    ...model,
    ...(variant === undefined ? {} : { variant }),
    ...ownOf(model.addresses),
    ...(ofPorts === undefined
      ? {}
      : { addressesOfPorts: new Map([...ofPorts].map(([port, { addresses }]) => [port, ownOf(addresses)])) }),
    preference: oldest.preference ?? namespacePreference(namespace, inputs, reader),
  };
}

function namespacePreference(
  namespace: string,
  { namespaces }: MeshInputs,
  reader: CollectionReader,
): TrafficPreference {
  return reader.get(namespaces, namespace)?.preference ?? "none";
}

/** The service of a key in its registry. A ServiceEntry may have the same name as a Service. */
export function registeredService(
  { key, registry }: { readonly key: string; readonly registry: ServiceModel["registry"] },
  registries: ServiceRegistry,
  reader: CollectionReader,
): ServiceModel | undefined {
  if (registry !== "Kubernetes") return reader.get(registries.entries, key);
  return ofClusters(registries, key, reader);
}

function ofClusters(registry: ServiceRegistry, key: string, reader: CollectionReader): ServiceModel | undefined {
  return reader.get(registry.kubernetes, key) ?? reader.get(registry.remote, key) ?? reader.get(registry.imported, key);
}

/**
 * The service as a proxy sees it that connects to automatically assigned addresses: if it has no others, it has the
 * assigned IPv4 addresses.
 */
export function withAutomaticAddresses(service: ServiceModel): ServiceModel {
  if (service.automaticAddresses === undefined || service.addresses.length > 0) return service;
  return { ...service, addresses: service.automaticAddresses.filter((address) => !address.includes(":")) };
}

function getService(registry: ServiceRegistry, key: string, reader: CollectionReader): ServiceModel | undefined {
  return ofClusters(registry, key, reader) ?? reader.get(registry.entries, key);
}

const everywhere = "*";

/** The services that a namespace sees, oldest first. */
export function visibleServices(
  registry: ServiceRegistry,
  namespace: string,
  reader: CollectionReader,
): readonly ServiceModel[] {
  return servicesSeenFrom(registry, namespace, reader).services;
}

/**
 * The visible services, and a key that namespaces with equal lists share. The key is the namespace, or {@link
 * everywhere} if it sees only public services.
 */
export function servicesSeenFrom(
  registry: ServiceRegistry,
  namespace: string,
  reader: CollectionReader,
): { readonly reach: string; readonly services: readonly ServiceModel[] } {
  const lists = registry.byVisibility.flatMap((index) => [
    reader.lookup(index, namespace),
    reader.lookup(index, everywhere),
  ]);
  const own = lists.find((list, index) => index % 2 === 0 && list.length > 0);
  const seen = lists.filter((list) => list.length > 0);
  return { reach: own === undefined ? everywhere : namespace, services: inOrder(seen, own ?? seen[0] ?? none) };
}

/**
 * Merges and sorts the lists, once for all namespaces that see the same ones. `first` is the list that only this
 * namespace has, or an empty list.
 */
function inOrder(lists: readonly (readonly ServiceModel[])[], first: readonly ServiceModel[]): readonly ServiceModel[] {
  const known = ordered.get(first);
  if (
    known !== undefined &&
    known.lists.length === lists.length &&
    known.lists.every((list, index) => list === lists[index])
  )
    return known.services;
  const services = lists.flat().sort(byCreation);
  ordered.set(first, { lists, services });
  return services;
}

const none: readonly ServiceModel[] = [];
const ordered = memos.memo<
  readonly ServiceModel[],
  { readonly lists: readonly (readonly ServiceModel[])[]; readonly services: readonly ServiceModel[] }
>("ordered-services");

export function servicesOfHost(
  registry: ServiceRegistry,
  host: string,
  reader: CollectionReader,
): readonly ServiceModel[] {
  return registry.byHost.flatMap((index) => reader.lookup(index, host));
}

export function isVisible(service: ServiceModel, namespace: string): boolean {
  return service.visibleIn.includes("*") || service.visibleIn.includes(namespace);
}

/**
 * The service that a route's destination means for a sidecar: one of the client's namespace, or else the best visible
 * one. As in upstream Istio, a sidecar's routes also reach services of its namespace that are not exported to it.
 */
export function destinationService(
  host: string,
  namespace: string,
  registry: ServiceRegistry,
  reader: CollectionReader,
): ServiceModel | undefined {
  return getService(registry, `${namespace}/${host}`, reader) ?? visibleService(host, namespace, registry, reader);
}

/**
 * The service that a host means for gateways and waypoints of a namespace. Only services that are exported to the
 * namespace count: first one of the preferred namespace, then one of their own, then the best one.
 */
export function visibleService(
  host: string,
  namespace: string,
  registry: ServiceRegistry,
  reader: CollectionReader,
  preferred = namespace,
): ServiceModel | undefined {
  const visible = servicesOfHost(registry, host, reader).filter((service) => isVisible(service, namespace));
  return (
    visible.find((service) => service.namespace === preferred) ??
    visible.find((service) => service.namespace === namespace) ??
    visible.find((service) => service.registry === "Kubernetes") ??
    [...visible].sort(
      (left, right) => compareText(left.createdAt, right.createdAt) || compareText(left.namespace, right.namespace),
    )[0]
  );
}

/** The service with its addresses in a cluster. Undefined means the control plane's own cluster. */
export function serviceInCluster(service: ServiceModel, clusterId: string | undefined): ServiceModel {
  const own = clusterId === undefined ? undefined : ownField(service.addressesByCluster, clusterId);
  return own === undefined || own.length === 0 ? service : { ...service, addresses: own };
}

/** The model of a Service. `others` are the same service in other clusters. */
function kubernetesService(
  service: ServiceFacts,
  mesh: MeshSettings,
  others: readonly (ServiceFacts & OfCluster)[],
): ServiceModel {
  const headless = service.clusterAddresses.length === 0;
  return {
    registry: "Kubernetes",
    namespace: service.namespace,
    hostname: hostnameOf(service, mesh.domain).toLowerCase(),
    name: service.name,
    objectName: service.name,
    createdAt: service.createdAt,
    labels: service.labels,
    ports: service.ports.flatMap((port) =>
      port.protocol === "TCP"
        ? {
            name: port.name,
            port: port.port,
            protocol: port.appProtocol,
            target: typeof port.target === "number" ? port.target : 0,
          }
        : [],
    ),
    resolution: service.type === "ExternalName" ? "alias" : headless ? "passthrough" : "endpoints",
    addresses: service.clusterAddresses,
    meshExternal: service.type === "ExternalName",
    visibleIn: visibilityOf(
      service.exportTo.length === 0 ? mesh.defaultServiceExportTo : service.exportTo,
      service.namespace,
    ),
    selector: service.selector,
    subjectAltNames: [],
    aliasOf: service.type === "ExternalName" ? service.externalName : "",
    preference: service.preference,
    waypointCanaryWeight: service.waypointCanaryWeight,
    ...(others.length === 0
      ? {}
      : { addressesByCluster: Object.fromEntries(others.map((other) => [other.clusterId, other.clusterAddresses])) }),
  };
}
