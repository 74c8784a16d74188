import type { CollectionReader } from "../../../kube/index.ts";
import { isGlobalService } from "../../model/ambient/ambient-networks.ts";
import { localNetwork } from "../../model/cluster-view.ts";
import type { MeshSettings } from "../../model/facts.ts";
import type { MeshInputs } from "../../model/mesh-inputs.ts";
import { gatewaysOf, type NetworkGatewaysModel } from "../../model/network-gateways.ts";
import { isDiscoverableFrom, type EndpointModel } from "../../model/service/service-endpoint-model.ts";
import type { ServiceModel } from "../../model/service/service-model.ts";
import type { ClientNetwork } from "../network-endpoints.ts";

/**
 * The endpoints of a service for this cluster's waypoints. Those in other clusters are included only if the service is
 * global.
 */
export function waypointEndpoints(
  endpoints: readonly EndpointModel[],
  service: ServiceModel,
  mesh: MeshSettings,
  inputs: MeshInputs,
  reader: CollectionReader,
): readonly EndpointModel[] {
  if (mesh.ambientMultiNetwork !== true) return nearEndpoints(endpoints, service, mesh, inputs, reader);
  return ofOwnClusters(endpoints, service, mesh, inputs, reader);
}

export function nearEndpoints(
  endpoints: readonly EndpointModel[],
  service: ServiceModel,
  mesh: MeshSettings,
  inputs: MeshInputs,
  reader: CollectionReader,
): readonly EndpointModel[] {
  const network = localNetwork(mesh, inputs, reader);
  return ofOwnClusters(endpoints, service, mesh, inputs, reader).filter(
    (endpoint) => endpoint.network === "" || network === "" || endpoint.network === network,
  );
}

function ofOwnClusters(
  all: readonly EndpointModel[],
  service: ServiceModel,
  mesh: MeshSettings,
  inputs: MeshInputs,
  reader: CollectionReader,
): readonly EndpointModel[] {
  const endpoints = all.filter((endpoint) => isDiscoverableFrom(mesh.clusterId, endpoint));
  if (endpoints.every(({ clusterId }) => clusterId === mesh.clusterId)) return endpoints;
  const everywhere =
    mesh.ambientMultiNetwork !== true ||
    service.registry !== "Kubernetes" ||
    isGlobalService(service, reader.get(inputs.namespaces, service.namespace)?.labels, mesh);
  return everywhere ? endpoints : endpoints.filter((endpoint) => endpoint.clusterId === mesh.clusterId);
}

/**
 * How a waypoint reaches endpoints in other networks for one port of a service. Undefined if it does not reach them.
 * `isVip` means that the waypoint serves the service.
 */
export function waypointCrossing(
  service: ServiceModel,
  port: number,
  isVip: boolean,
  mesh: MeshSettings,
  {
    inputs,
    networkGateways,
    resolvesNames,
    reader,
  }: {
    readonly inputs: MeshInputs;
    readonly networkGateways: NetworkGatewaysModel;
    readonly resolvesNames: boolean;
    readonly reader: CollectionReader;
  },
): ClientNetwork | undefined {
  if (mesh.ambientMultiNetwork !== true) return undefined;
  return {
    network: localNetwork(mesh, inputs, reader),
    clusterId: mesh.clusterId,
    view: undefined,
    gateways: gatewaysOf(resolvesNames ? networkGateways.unresolved : networkGateways.resolved, reader),
    crossing:
      mesh.ambientNetworkCrossing?.waypoints === false
        ? { kind: "never" }
        : { kind: "double-tunnel", host: service.hostname, port, matched: !isVip },
  };
}
