import type { Collection, CollectionGraph, CollectionReader } from "../../../kube/index.ts";
import {
  compareText,
  factsKey,
  hostnameOf,
  meshKey,
  type MeshSettings,
  type ServiceFacts,
  type ServiceImportFacts,
} from "../facts.ts";
import { addressKey } from "../ip-address.ts";
import type { MeshInputs } from "../mesh-inputs.ts";
import { givenAddresses, isGivenToOthers } from "./given-addresses.ts";
import { importedDiscoverability } from "./service-discoverability.ts";
import { endpointsKey, type EndpointModel } from "./service-endpoint-model.ts";
import { distinctAddresses } from "./service-entry-model.ts";
import type { ServiceModel } from "./service.ts";

/** The domain of exported services. It is the same in all clusters, whatever their own domain is. */
const clusterSetDomain = "clusterset.local";

type Named = Pick<ServiceImportFacts, "namespace" | "name">;

export function clusterSetHost(service: Named): string {
  return hostnameOf(service, clusterSetDomain).toLowerCase();
}

/** The `namespace/hostname` of the service in the clusters' own domain. */
function ownKey(service: Named, mesh: MeshSettings): string {
  return `${service.namespace}/${hostnameOf(service, mesh.domain).toLowerCase()}`;
}

/** Services, or lists of endpoints, in the clusters' own domains. Those of this control plane's cluster come first. */
type OwnDomain<Item> = readonly Collection<Item>[];

function find<Item>(collections: OwnDomain<Item>, key: string, reader: CollectionReader): Item | undefined {
  for (const collection of collections) {
    const item = reader.get(collection, key);
    if (item !== undefined) return item;
  }
  return undefined;
}

/**
 * Services with the host `<service>.<namespace>.svc.clusterset.local`. Each is a copy of the service in one of the
 * clusters, with the addresses of the imports. A cluster without its own import has another cluster's addresses.
 */
export function deriveImportedServices(
  graph: CollectionGraph,
  inputs: MeshInputs,
  services: OwnDomain<ServiceModel>,
): Collection<ServiceModel> {
  const byName = inputs.serviceImports.index("name", (imported) => [factsKey(imported)]);
  const addressesOf = ({ clusterAddresses }: ServiceFacts): readonly string[] => clusterAddresses.map(addressKey);
  const byAddress = inputs.services.index("cluster-address", addressesOf);
  const remoteByAddress = inputs.remote.services.index("cluster-address", addressesOf);
  const given = givenAddresses(inputs);
  /**
   * Whether an import may have an address. In the import's cluster, no Service of another namespace may have it, and no
   * control plane may have allocated it to a ServiceEntry of another namespace. Otherwise, users who may write a
   * ServiceImport could capture that Service's clients. A Service of the import's own namespace may have the address,
   * because a controller may use such a Service for the import.
   */
  const isFree = (address: string, { namespace, clusterId }: ServiceImportFacts, reader: CollectionReader): boolean =>
    (clusterId === undefined
      ? reader.lookup(byAddress, addressKey(address))
      : reader.lookup(remoteByAddress, addressKey(address)).filter((service) => service.clusterId === clusterId)
    ).every((service) => service.namespace === namespace) && !isGivenToOthers(address, namespace, given, reader);
  return graph.derive("services-imported", inputs.serviceImports, (imported, reader) => {
    const mesh = reader.get(inputs.mesh, meshKey);
    if (mesh?.multiClusterServices?.host !== true) return [];
    const service = find(services, ownKey(imported, mesh), reader);
    // The import of the control plane's own cluster has no id, so it sorts first.
    const imports = reader
      .lookup(byName, factsKey(imported))
      .map((facts) => ({
        ...facts,
        addresses: distinctAddresses(facts.addresses.filter((address) => isFree(address, facts, reader))),
      }))
      .filter(({ addresses }) => addresses.length > 0)
      .toSorted((left, right) => compareText(left.clusterId ?? "", right.clusterId ?? ""));
    const [first] = imports;
    if (service === undefined || service.resolution === "alias" || first === undefined) return [];
    const hostname = clusterSetHost(imported);
    const model: ServiceModel = {
      ...service,
      hostname,
      clusterSet: true,
      addresses: first.addresses,
      addressesByCluster: Object.fromEntries(
        imports.flatMap(({ clusterId, addresses }) => (clusterId === undefined ? [] : [[clusterId, addresses]])),
      ),
    };
    return [[`${service.namespace}/${hostname}`, model]];
  });
}

/**
 * The endpoints of imported services are the service's endpoints in all clusters. Which clients discover an endpoint
 * depends on the export in the endpoint's own cluster.
 */
export function deriveImportedEndpoints(
  graph: CollectionGraph,
  inputs: MeshInputs,
  imported: Collection<ServiceModel>,
  endpoints: OwnDomain<readonly EndpointModel[]>,
): Collection<readonly EndpointModel[]> {
  return graph.derive("endpoints-imported", imported, (service, reader, key) => {
    const mesh = reader.get(inputs.mesh, meshKey);
    if (mesh === undefined) return [];
    const own = ownKey(service, mesh);
    const reexported = (endpoint: EndpointModel): EndpointModel => {
      if (endpoint.discoverable === undefined) return endpoint;
      const clusterId = endpoint.clusterId === mesh.clusterId ? undefined : endpoint.clusterId;
      const discoverable = importedDiscoverability(factsKey(service), clusterId, { mesh, inputs, reader });
      return { ...endpoint, discoverable };
    };
    return service.ports.map(
      ({ port }) =>
        [endpointsKey(key, port), (find(endpoints, endpointsKey(own, port), reader) ?? []).map(reexported)] as const,
    );
  });
}
