import { matchesLabelSelector } from "../../../api/index.ts";
import { istioAnnotations, istioLabels } from "../../../api/istio/index.ts";
import type { Collection, CollectionGraph, CollectionReader } from "../../../kube/index.ts";
import { remoteNetwork } from "../cluster-view.ts";
import { factsKey, meshKey, type GatewayFacts, type Labels, type MeshSettings, type ServiceFacts } from "../facts.ts";
import { eastWestClassName, remoteClassName } from "../gateway-class.ts";
import type { MeshInputs } from "../mesh-inputs.ts";
import { mayAddGateways } from "../network-gateways.ts";
import { remoteKey, type OfCluster } from "../remote-inputs.ts";

/**
 * Whether the mesh config makes a Service global. A global Service includes the Services of the same name in other
 * clusters.
 */
export function isGlobalService(
  service: { readonly labels: Labels },
  namespaceLabels: Labels | undefined,
  mesh: MeshSettings,
): boolean {
  if (mesh.ambientMultiNetwork !== true || namespaceLabels === undefined) return false;
  return mesh.serviceScopeConfigs.some(
    ({ scope, namespaceSelector = {}, servicesSelector = {} }) =>
      scope === "GLOBAL" &&
      matchesLabelSelector(namespaceSelector, namespaceLabels) &&
      matchesLabelSelector(servicesSelector, service.labels),
  );
}

export function isGlobalHere(
  service: ServiceFacts,
  mesh: MeshSettings,
  inputs: MeshInputs,
  reader: CollectionReader,
): boolean {
  return (
    mesh.ambientMultiNetwork === true &&
    isGlobalService(service, reader.get(inputs.namespaces, service.namespace)?.labels, mesh)
  );
}

/** The Services of this name in other clusters that are global there. */
export function globalElsewhere(
  name: string,
  mesh: MeshSettings,
  inputs: MeshInputs,
  reader: CollectionReader,
): readonly (ServiceFacts & OfCluster)[] {
  if (mesh.ambientMultiNetwork !== true) return [];
  const byName = inputs.remote.services.index("name", (service) => [factsKey(service)]);
  return reader
    .lookup(byName, name)
    .filter((service) =>
      isGlobalService(
        service,
        reader.get(inputs.remote.namespaces, remoteKey(service.clusterId, service.namespace))?.labels,
        mesh,
      ),
    );
}

export function addressesElsewhere(
  service: ServiceFacts,
  mesh: MeshSettings,
  inputs: MeshInputs,
  reader: CollectionReader,
): readonly { readonly network: string; readonly address: string }[] {
  return globalElsewhere(factsKey(service), mesh, inputs, reader)
    .filter((other) => other.clusterId !== service.clusterId)
    .flatMap((other) =>
      other.clusterAddresses.map((address) => ({
        network: remoteNetwork(other.clusterId, mesh, inputs, reader),
        address,
      })),
    );
}

/** A gateway through which ztunnels and waypoints enter another network, by HBONE within HBONE. */
export interface AmbientGateway {
  readonly gateway: string;
  readonly namespace: string;
  readonly account: string;
  readonly network: string;
  readonly cluster: string;
  readonly address: string;
  /** The gateway's port for HBONE. 0 means the usual one. */
  readonly hbonePort: number;
  /**
   * Orders several gateways into one network, and several Gateways with one address. Clients use the one with the
   * lowest rank.
   */
  readonly rank: string;
}

export interface AmbientGateways {
  readonly local: Collection<AmbientGateway>;
  readonly remote: Collection<AmbientGateway>;
}

/**
 * Gateways into other networks: Gateways of the control plane's own cluster that describe remote gateways, and the
 * east-west gateways of remote clusters. As in upstream Istio, the former are also used without
 * AMBIENT_ENABLE_MULTI_NETWORK, because a WorkloadEntry or an endpoint of a ServiceEntry may be in their network.
 */
export function deriveAmbientGateways(graph: CollectionGraph, inputs: MeshInputs): AmbientGateways {
  const local = graph.derive("ambient-gateways", inputs.gateways, (gateway, reader) => {
    const mesh = reader.get(inputs.mesh, meshKey);
    const listener = gateway.spec.listeners.find(({ protocol }) => protocol === "HBONE");
    if (mesh === undefined || gateway.spec.gatewayClassName !== remoteClassName || listener === undefined) return [];
    return gatewaysOf(gateway, mesh, { cluster: mesh.clusterId, hbonePort: listener.port }).map(
      (found) => [`${found.gateway}/${found.address}`, found] as const,
    );
  });
  const remote = graph.derive("remote-ambient-gateways", inputs.remote.gateways, (gateway, reader) => {
    const mesh = reader.get(inputs.mesh, meshKey);
    const terminates = gateway.spec.listeners.some(
      ({ protocol, tls }) => protocol === "HBONE" && tls?.mode === "Terminate",
    );
    if (mesh?.ambientMultiNetwork !== true || gateway.spec.gatewayClassName !== eastWestClassName || !terminates)
      return [];
    return gatewaysOf(gateway, mesh, { cluster: gateway.clusterId, hbonePort: 0 }).map(
      (found) => [`${found.gateway}/${found.address}`, found] as const,
    );
  });
  return { local, remote };
}

function gatewaysOf(
  { namespace, name, labels, annotations, spec, createdAt, networkAddresses }: GatewayFacts,
  mesh: MeshSettings,
  place: Pick<AmbientGateway, "cluster" | "hbonePort">,
): readonly AmbientGateway[] {
  const network = labels[istioLabels.network] ?? "";
  if (network === "" || !mayAddGateways(namespace, mesh)) return [];
  const account =
    annotations[istioAnnotations.serviceAccountName] ??
    (spec.gatewayClassName === remoteClassName ? `${name}-${remoteClassName}` : name);
  // Everybody may write a Gateway, so those of the mesh's administrators come first.
  const rank = `${namespace === mesh.rootNamespace ? 0 : 1} ${createdAt} ${namespace}/${name}`;
  return (networkAddresses ?? []).map((address) => ({
    gateway: `${namespace}/${name}`,
    namespace,
    account,
    network,
    address,
    rank: `${rank} ${place.cluster} ${address}`,
    ...place,
  }));
}

/** The first gateway into a network. As in upstream Istio, clients use only one of several gateways. */
export function ambientGatewayOf(
  gateways: AmbientGateways,
  network: string,
  reader: CollectionReader,
): AmbientGateway | undefined {
  return (
    describedGatewayOf(gateways, network, reader) ??
    first(reader.lookup(gateways.remote.index("network", networkKeys), network))
  );
}

/** The first gateway into a network among those that Gateways of the control plane's own cluster describe. */
export function describedGatewayOf(
  { local }: Pick<AmbientGateways, "local">,
  network: string,
  reader: CollectionReader,
): AmbientGateway | undefined {
  return first(reader.lookup(local.index("network", networkKeys), network));
}

/**
 * The gateway that is used at its address. Several Gateways may name the address, but clients can require only one
 * account from the server there.
 */
export function gatewayAt(
  { local, remote }: AmbientGateways,
  gateway: AmbientGateway,
  reader: CollectionReader,
): AmbientGateway | undefined {
  const key = gatewayUid(gateway);
  const found = reader.lookup(local.index("uid", uidKeys), key);
  return first(found.length > 0 ? found : reader.lookup(remote.index("uid", uidKeys), key));
}

/** The uid of the workload that stands for a network's gateway. */
export function gatewayUid({ network, address, hbonePort }: AmbientGateway): string {
  return `NetworkGateway/${network}/${address}/${hbonePort}`;
}

function networkKeys({ network }: AmbientGateway): readonly string[] {
  return [network];
}

function uidKeys(gateway: AmbientGateway): readonly string[] {
  return [gatewayUid(gateway)];
}

function first(gateways: readonly AmbientGateway[]): AmbientGateway | undefined {
  let found = gateways[0];
  for (const gateway of gateways) if (found !== undefined && gateway.rank < found.rank) found = gateway;
  return found;
}
