import { create } from "@bufbuild/protobuf";
import { LbEndpointSchema, type LbEndpoint } from "../../wire/envoy/index.ts";
import { formatAuthority } from "../../wire/hbone/index.ts";
import { compareText } from "../model/facts.ts";
import { gatewaysTo, type NetworkGateway, type NetworkGateways } from "../model/network-gateways.ts";
import { isDiscoverableFrom, type EndpointModel } from "../model/service/service-endpoint-model.ts";
import { originalDestinationFilter } from "./cluster.ts";
import { innerConnectName } from "./double-tunnel.ts";
import { internalAddress, tcpAddress } from "./envoy-address.ts";
import { filterMetadata } from "./envoy-any.ts";

export interface ClientNetwork {
  /**
   * The client's network. Empty if the client has no network label. It then reaches endpoints in a network by that
   * network's gateways.
   */
  readonly network: string;
  readonly clusterId: string;
  /** The networks whose endpoints the client requests. Undefined means all. */
  readonly view: readonly string[] | undefined;
  readonly gateways: NetworkGateways;
  /** How the client enters other networks. Absent means with mutual TLS that gateways pass through. */
  readonly crossing?: NetworkCrossing;
}

/**
 * How a client reaches another network. `double-tunnel`: by HBONE within HBONE, through the network's gateway to the
 * service's host and port. `never`: not at all, so it gets no endpoints of other networks.
 */
export type NetworkCrossing =
  | {
      readonly kind: "double-tunnel";
      readonly host: string;
      readonly port: number;
      /** Whether the cluster selects transport sockets by the endpoint's metadata. */
      readonly matched: boolean;
    }
  | { readonly kind: "never" };

/** An endpoint with data that proxies do not receive. A gateway may stand for endpoints of another network. */
export interface LocatedEndpoint {
  readonly endpoint: EndpointModel & { readonly isGateway?: true };
  readonly resource: LbEndpoint;
}

/**
 * Whether a client receives the endpoint. Only clients of the endpoint's cluster receive endpoints of cluster-local
 * services and endpoints that their cluster does not export.
 */
export function isSeenBy(
  client: Pick<ClientNetwork, "clusterId" | "view">,
  endpoint: EndpointModel,
  clusterLocal: boolean,
): boolean {
  if (client.view !== undefined && endpoint.network !== "" && !client.view.includes(endpoint.network)) return false;
  if (!isDiscoverableFrom(client.clusterId, endpoint)) return false;
  return !clusterLocal || endpoint.clusterId === client.clusterId;
}

/**
 * Distributes the endpoints of one locality as upstream does. Endpoints that the client reaches directly stay. Their
 * weights are multiplied by a number that makes them divisible by the number of gateways of every network. The weight
 * of an endpoint in another network is split among its network's gateways, if the endpoint accepts mutual TLS, which
 * gateways pass through by server name, or if the client enters by HBONE.
 */
export function acrossNetworks(
  located: readonly (LocatedEndpoint & { readonly mutualTls: boolean })[],
  { network, gateways, crossing }: ClientNetwork,
): readonly LocatedEndpoint[] {
  if (gateways.all.length === 0 && crossing === undefined) return located;
  const portOf = ({ port, hbonePort }: NetworkGateway): number => (crossing === undefined ? port : hbonePort);
  const direct: LocatedEndpoint[] = [];
  const weights = new Map<NetworkGateway, number>();
  for (const { endpoint, resource, mutualTls } of located) {
    const weight = (resource.loadBalancingWeight ?? 1) * gateways.scale;
    const through =
      crossing?.kind === "never"
        ? []
        : gatewaysTo(gateways, endpoint.network, endpoint.clusterId).filter((gateway) => portOf(gateway) !== 0);
    const isNear = network === "" || endpoint.network === "" || network === endpoint.network;
    if (crossing !== undefined && !isNear && through.length === 0) continue;
    // A client without a network reaches endpoints in a network through that network's gateways, if it has any.
    const isForced = network === "" && endpoint.network !== "" && through.length > 0;
    if (through.length === 0 || (isNear && !isForced))
      direct.push({ endpoint: { ...endpoint, weight }, resource: { ...resource, loadBalancingWeight: weight } });
    // Gateways are always sent as healthy, so an endpoint that is not ready must not add weight to them.
    else if ((mutualTls || crossing !== undefined) && endpoint.unready !== true)
      for (const gateway of through)
        weights.set(gateway, (weights.get(gateway) ?? 0) + Math.floor(weight / through.length));
  }
  const [first] = located;
  const used = [...weights].sort(
    ([left], [right]) => compareText(left.address, right.address) || left.port - right.port,
  );
  return first === undefined
    ? direct
    : [
        ...direct,
        ...used.map(([gateway, weight]) => gatewayEndpoint(gateway, Math.max(1, weight), first.endpoint, crossing)),
      ];
}

function gatewayEndpoint(
  gateway: NetworkGateway,
  weight: number,
  { locality }: EndpointModel,
  crossing: NetworkCrossing | undefined,
): LocatedEndpoint {
  const { address, network, cluster } = gateway;
  const tunnel = crossing?.kind === "double-tunnel" ? crossing : undefined;
  const port = tunnel === undefined ? gateway.port : gateway.hbonePort;
  const endpoint = {
    address,
    port,
    labels: {},
    identity: "",
    mutualTls: tunnel === undefined,
    hbone: false,
    captured: false,
    locality,
    network,
    clusterId: cluster,
    node: "",
    weight,
    workload: `;;;;${cluster}`,
    isGateway: true as const,
  };
  const way = tunnel === undefined ? byMutualTls(endpoint) : byDoubleTunnel(endpoint, tunnel);
  const resource = create(LbEndpointSchema, {
    hostIdentifier: { case: "endpoint", value: { address: { address: way.address } } },
    loadBalancingWeight: weight,
    metadata: filterMetadata(way.metadata),
  });
  return { endpoint, resource };
}

type GatewayPlace = Pick<EndpointModel, "address" | "port" | "workload">;

function byMutualTls({ address, port, workload }: GatewayPlace) {
  return {
    address: tcpAddress(address, port),
    metadata: { istio: { workload }, "envoy.transport_socket_match": { tlsMode: "istio" } },
  };
}

function byDoubleTunnel(
  { address, port, workload }: GatewayPlace,
  { host, port: servicePort, matched }: Extract<NetworkCrossing, { readonly kind: "double-tunnel" }>,
) {
  const local = formatAuthority(address, port);
  return {
    address: internalAddress(innerConnectName, local),
    metadata: {
      istio: { workload, double_hbone: { hbone_target_address: formatAuthority(host, servicePort) } },
      [originalDestinationFilter]: { local },
      ...(matched ? { "envoy.transport_socket_match": { tunnel: "http" } } : {}),
    },
  };
}
