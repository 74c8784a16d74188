import { create } from "@bufbuild/protobuf";
import { LbEndpointSchema, type LbEndpoint } from "../../wire/envoy/index.ts";
import { compareText } from "../model/facts.ts";
import { gatewaysTo, type NetworkGateway, type NetworkGateways } from "../model/network-gateways.ts";
import type { EndpointModel } from "../model/service-endpoint-model.ts";
import { tcpAddress } from "./envoy-address.ts";
import { filterMetadata } from "./envoy-any.ts";

/** Where a client is, as far as networks ask. */
export interface ClientNetwork {
  /** Empty: it says none. */
  readonly network: string;
  readonly clusterId: string;
  /** Networks whose endpoints alone it asks for; undefined: of all. */
  readonly view: readonly string[] | undefined;
  readonly gateways: NetworkGateways;
}

/** An endpoint beside what proxies are told of it. A gateway stands for endpoints of another network. */
export interface LocatedEndpoint {
  readonly endpoint: EndpointModel & { readonly isGateway?: true };
  readonly resource: LbEndpoint;
}

/** Whether a client asks for it at all: those of a service that is its cluster's own only there. */
export function isSeenBy(client: Pick<ClientNetwork, "clusterId" | "view">, endpoint: EndpointModel, clusterLocal: boolean): boolean {
  if (client.view !== undefined && endpoint.network !== "" && !client.view.includes(endpoint.network)) return false;
  return !clusterLocal || endpoint.clusterId === client.clusterId;
}

/**
 * Endpoints of one locality as upstream divides them: those in reach stay, with weights that can be divided among any network's
 * gateways; others give theirs to the gateways of their network, as long as they take mutual TLS, which the gateways pass on by its
 * server name.
 */
export function acrossNetworks(located: readonly (LocatedEndpoint & { readonly mutualTls: boolean })[], { network, gateways }: ClientNetwork): readonly LocatedEndpoint[] {
  if (gateways.all.length === 0) return located;
  const direct: LocatedEndpoint[] = [];
  const weights = new Map<NetworkGateway, number>();
  for (const { endpoint, resource, mutualTls } of located) {
    const weight = (resource.loadBalancingWeight ?? 1) * gateways.scale;
    const through = gatewaysTo(gateways, endpoint.network, endpoint.clusterId).filter(({ port }) => port !== 0);
    const isNear = network === "" || endpoint.network === "" || network === endpoint.network;
    // A client that says no network reaches what is in one by its gateways, where it has any.
    const isForced = network === "" && endpoint.network !== "" && through.length > 0;
    if (through.length === 0 || (isNear && !isForced)) direct.push({ endpoint: { ...endpoint, weight }, resource: { ...resource, loadBalancingWeight: weight } });
    else if (mutualTls) for (const gateway of through) weights.set(gateway, (weights.get(gateway) ?? 0) + Math.floor(weight / through.length));
  }
  const [first] = located;
  const used = [...weights].sort(([left], [right]) => compareText(left.address, right.address) || left.port - right.port);
  return first === undefined ? direct : [...direct, ...used.map(([gateway, weight]) => gatewayEndpoint(gateway, Math.max(1, weight), first.endpoint))];
}

function gatewayEndpoint(gateway: NetworkGateway, weight: number, { locality }: EndpointModel): LocatedEndpoint {
  const { address, port, network, cluster } = gateway;
  const endpoint = { address, port, labels: {}, identity: "", mutualTls: true, hbone: false, captured: false, locality, network, clusterId: cluster, node: "", weight, workload: `;;;;${cluster}`, isGateway: true as const };
  const resource = create(LbEndpointSchema, {
    hostIdentifier: { case: "endpoint", value: { address: { address: tcpAddress(address, port) } } },
    loadBalancingWeight: weight,
    metadata: filterMetadata({ istio: { workload: endpoint.workload }, "envoy.transport_socket_match": { tlsMode: "istio" } }),
  });
  return { endpoint, resource };
}
