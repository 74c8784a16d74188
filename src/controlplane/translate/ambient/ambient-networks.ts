import { create } from "@bufbuild/protobuf";
import type { Collection, CollectionGraph, CollectionReader } from "../../../kube/index.ts";
import {
  AddressSchema,
  TunnelProtocol,
  WorkloadSchema,
  WorkloadType,
  type Address,
} from "../../../wire/workload/index.ts";
import {
  addressesElsewhere,
  ambientGatewayOf,
  gatewayAt,
  gatewayUid,
  globalElsewhere,
  isGlobalHere,
  isGlobalService,
  type AmbientGateway,
  type AmbientGateways,
} from "../../model/ambient/ambient-networks.ts";
import { ambientServiceKey, ambientServiceOf, type AmbientService } from "../../model/ambient/ambient-service.ts";
import { clusterView, localNetwork, remoteNetwork } from "../../model/cluster-view.ts";
import { factsKey, meshKey, type MeshSettings, type PodFacts, type ServiceFacts } from "../../model/facts.ts";
import { addressBytes } from "../../model/ip-address.ts";
import { remoteKey, type OfCluster } from "../../model/remote-inputs.ts";
import { selecting, selectorKeys } from "../../model/selection.ts";
import { podsSelectedBy } from "../../model/service/selected-pods.ts";
import type { AmbientSources } from "./ambient-services.ts";
import { encodeResource, sameResource, type EncodedResource } from "../resource.ts";
import { serviceAddress } from "./service-address.ts";
import { TakenAddresses } from "./taken-addresses.ts";
import { explicitTrustDomain, gatewayReference, podAddress, podUid } from "./workload-address.ts";

/**
 * The resources that ztunnels receive from other clusters: global services that the control plane's own cluster lacks;
 * the pods of clusters in its own network; for each other network, one workload for each global service; and the
 * workloads of the networks' gateways. A workload for a global service stands for all pods of the service in that
 * network, behind the network's gateway.
 */
export function deriveAmbientNetworks(
  graph: CollectionGraph,
  sources: AmbientSources,
  gateways: AmbientGateways,
): readonly Collection<EncodedResource>[] {
  return [
    deriveRemoteServices(graph, sources),
    deriveRemotePods(graph, sources),
    deriveSplitHorizon(graph, sources, gateways),
    deriveGatewayWorkloads(graph, sources, gateways, "local"),
    deriveGatewayWorkloads(graph, sources, gateways, "remote"),
  ];
}

function globalRemote(
  service: ServiceFacts & OfCluster,
  mesh: MeshSettings,
  { inputs }: AmbientSources,
  reader: CollectionReader,
): AmbientService | undefined {
  if (mesh.ambientMultiNetwork !== true) return undefined;
  const namespace = reader.get(inputs.remote.namespaces, remoteKey(service.clusterId, service.namespace));
  return isGlobalService(service, namespace?.labels, mesh) ? ambientServiceOf(service, mesh, namespace) : undefined;
}

function deriveRemoteServices(graph: CollectionGraph, sources: AmbientSources): Collection<EncodedResource> {
  const { inputs } = sources;
  return graph.derive(
    "wds-remote-services",
    inputs.remote.services,
    (facts, reader) => {
      const mesh = reader.get(inputs.mesh, meshKey);
      const service =
        mesh === undefined || reader.get(inputs.services, factsKey(facts)) !== undefined
          ? undefined
          : globalRemote(facts, mesh, sources, reader);
      if (mesh === undefined || service === undefined) return [];
      const name = ambientServiceKey(service);
      const network = remoteNetwork(facts.clusterId, mesh, inputs, reader);
      const elsewhere = addressesElsewhere(facts, mesh, inputs, reader);
      return [
        [
          name,
          encodeResource(
            AddressSchema,
            name,
            serviceAddress(service, {
              mesh: { ...mesh, network },
              shares: [],
              canonical: true,
              ingressUseWaypoint: false,
              elsewhere,
            }),
          ),
        ],
      ];
    },
    sameResource,
  );
}

function deriveRemotePods(graph: CollectionGraph, sources: AmbientSources): Collection<EncodedResource> {
  const { inputs } = sources;
  const services = inputs.remote.services.index("selector", (service) =>
    selectorKeys(service.namespace, service.selector),
  );
  return graph.derive(
    "wds-remote-pods",
    inputs.remote.pods,
    (pod, reader) => {
      const mesh = reader.get(inputs.mesh, meshKey);
      if (mesh?.ambientMultiNetwork !== true || pod.addresses.length === 0) return [];
      const view = clusterView(pod.clusterId, mesh, inputs, reader);
      const network = view.networkOf(pod.addresses[0] ?? "", pod.labels);
      if (network !== localNetwork(mesh, inputs, reader)) return [];
      const selected = selecting(services, pod.namespace, pod.labels, (service) => service.selector, reader).filter(
        ({ clusterId }) => clusterId === pod.clusterId,
      );
      const address = podAddress(pod, {
        mesh: { ...mesh, clusterId: pod.clusterId, network },
        node: view.node(pod.node),
        services: selected.flatMap((service) => globalRemote(service, mesh, sources, reader) ?? []),
        policies: [],
        waypoint: undefined,
      });
      const name = podUid(pod, pod.clusterId);
      return [[name, encodeResource(AddressSchema, name, address)]];
    },
    sameResource,
  );
}

/** All clusters of a network that have the service yield the same workload, so one of them is enough. */
function deriveSplitHorizon(
  graph: CollectionGraph,
  sources: AmbientSources,
  gateways: AmbientGateways,
): Collection<EncodedResource> {
  const { inputs } = sources;
  const pods = inputs.remote.pods.index("label", (pod) =>
    Object.entries(pod.labels).map(([key, value]) => `${pod.namespace}/${key}=${value}`),
  );
  return graph.derive(
    "wds-split-horizon",
    inputs.remote.services,
    (facts, reader) => {
      const mesh = reader.get(inputs.mesh, meshKey);
      if (mesh?.ambientMultiNetwork !== true) return [];
      const own = reader.get(inputs.services, factsKey(facts));
      // Do not merge a service that is only local to the control plane's own cluster with the services of other
      // clusters.
      if (own !== undefined && !isGlobalHere(own, mesh, inputs, reader)) return [];
      const everywhere = globalElsewhere(factsKey(facts), mesh, inputs, reader);
      const service = ambientServiceOf(own ?? everywhere[0] ?? facts, mesh, undefined);
      if (everywhere.length === 0 || service === undefined) return [];
      const near = localNetwork(mesh, inputs, reader);
      const counted = new Map<string, number>();
      for (const other of everywhere) {
        const view = clusterView(other.clusterId, mesh, inputs, reader);
        const selected: readonly PodFacts[] = podsSelectedBy(pods, other.namespace, other.selector, reader).filter(
          (pod) => pod.clusterId === other.clusterId && pod.addresses.length > 0,
        );
        for (const pod of selected) {
          const network = view.networkOf(pod.addresses[0] ?? "", pod.labels);
          if (network !== near) counted.set(network, (counted.get(network) ?? 0) + 1);
        }
      }
      return [...counted].flatMap(([network, capacity]) => {
        const gateway = ambientGatewayOf(gateways, network, reader);
        if (gateway === undefined) return [];
        const uid = `${network}/SplitHorizonWorkload/${gateway.gateway}/${gateway.address}/${ambientServiceKey(service)}`;
        return [
          [uid, encodeResource(AddressSchema, uid, splitHorizon(uid, service, gateway, capacity, mesh))] as const,
        ];
      });
    },
    sameResource,
  );
}

function splitHorizon(
  uid: string,
  service: AmbientService,
  gateway: AmbientGateway,
  capacity: number,
  mesh: MeshSettings,
): Address {
  const ports = service.ports.map(({ port, target }) => ({ servicePort: port, targetPort: target }));
  const value = create(WorkloadSchema, {
    uid,
    name: uid,
    namespace: service.namespace,
    network: gateway.network,
    trustDomain: explicitTrustDomain(mesh),
    capacity,
    workloadType: WorkloadType.POD,
    tunnelProtocol: TunnelProtocol.HBONE,
    networkGateway: gatewayReference(gateway),
    clusterId: gateway.cluster,
    services: { [ambientServiceKey(service)]: { ports } },
  });
  return create(AddressSchema, { type: { case: "workload", value } });
}

/**
 * The workload of a network's gateway. A ztunnel requires the gateway's service account from the server at the
 * gateway's address.
 */
function deriveGatewayWorkloads(
  graph: CollectionGraph,
  { inputs }: AmbientSources,
  gateways: AmbientGateways,
  place: keyof AmbientGateways,
): Collection<EncodedResource> {
  const taken = new TakenAddresses(inputs);
  return graph.derive(
    place === "local" ? "wds-network-gateways" : "wds-remote-network-gateways",
    gateways[place],
    (gateway, reader) => {
      const mesh = reader.get(inputs.mesh, meshKey);
      if (mesh === undefined || gatewayAt(gateways, gateway, reader)?.rank !== gateway.rank) return [];
      const { network, address, account, namespace } = gateway;
      const uid = gatewayUid(gateway);
      const bytes = addressBytes(address);
      const value = create(WorkloadSchema, {
        uid,
        name: uid,
        namespace,
        serviceAccount: account,
        network,
        trustDomain: explicitTrustDomain(mesh),
        addresses: bytes === undefined ? [] : [bytes],
        hostname: bytes === undefined ? address : "",
      });
      const workload = taken.yieldTo(create(AddressSchema, { type: { case: "workload", value } }), reader);
      return [[uid, encodeResource(AddressSchema, uid, workload)]];
    },
    sameResource,
  );
}
