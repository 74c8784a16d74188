import { create, type JsonObject } from "@bufbuild/protobuf";
import { ClusterLoadAssignmentSchema, HealthStatus, LbEndpointSchema, LocalityLbEndpointsSchema, type ClusterLoadAssignment, type LbEndpoint, type LocalityLbEndpoints } from "../../wire/envoy/index.ts";
import { formatAuthority } from "../../wire/hbone/index.ts";
import { localityText, type EndpointModel } from "../model/service-endpoint-model.ts";
import { connectOriginateName, originalDestinationFilter } from "./cluster.ts";
import { internalAddress, tcpAddress } from "./envoy-address.ts";
import { filterMetadata } from "./envoy-any.ts";

export interface AssignmentOptions {
  /** Whether the proxies that this is for speak HBONE. */
  readonly hbone: boolean;
  /** Told by the control plane, which knows that they are ready; of names the proxy finds out itself. */
  readonly healthKnown: boolean;
}

/** Endpoints of one locality, in the same order as in the resource. */
export interface LocalityGroup {
  readonly resource: LocalityLbEndpoints;
  readonly endpoints: readonly EndpointModel[];
}

/** Endpoints by locality, each reached the way that its workload takes. They must be in the order of their localities. */
export function localityGroups(endpoints: readonly EndpointModel[], options: AssignmentOptions): readonly LocalityGroup[] {
  const byLocality = Map.groupBy(endpoints, (endpoint) => localityText(endpoint.locality));
  return [...byLocality.values()].map((members) => localityGroup(members, members.map((endpoint) => lbEndpoint(endpoint, options))));
}

/** The weight of a locality is that of its endpoints together. */
export function localityGroup(endpoints: readonly EndpointModel[], resources: readonly LbEndpoint[]): LocalityGroup {
  const { region, zone, subzone } = endpoints[0]?.locality ?? { region: "", zone: "", subzone: "" };
  const resource = create(LocalityLbEndpointsSchema, {
    ...(region === "" && zone === "" && subzone === "" ? {} : { locality: { region, zone, subZone: subzone } }),
    lbEndpoints: [...resources],
    loadBalancingWeight: endpoints.reduce((sum, endpoint) => sum + endpoint.weight, 0),
  });
  return { resource, endpoints };
}

export function loadAssignment(name: string, groups: readonly LocalityGroup[]): ClusterLoadAssignment {
  return create(ClusterLoadAssignmentSchema, { clusterName: name, endpoints: groups.map(({ resource }) => resource) });
}

function lbEndpoint(endpoint: EndpointModel, { hbone, healthKnown }: AssignmentOptions): LbEndpoint {
  const { address, port, workload } = endpoint;
  const metadata: Record<string, JsonObject> = { istio: workload === "" ? {} : { workload } };
  const tunnelled = hbone && endpoint.hbone;
  const destination = formatAuthority(address, port);
  if (tunnelled) {
    metadata[originalDestinationFilter] = { local: destination };
    metadata["envoy.transport_socket_match"] = { tunnel: "http" };
  } else if (endpoint.mutualTls) {
    metadata["envoy.transport_socket_match"] = { tlsMode: "istio" };
  }
  return create(LbEndpointSchema, {
    hostIdentifier: { case: "endpoint", value: { address: { address: tunnelled ? internalAddress(connectOriginateName, destination) : socketAddress(address, port) } } },
    ...(healthKnown ? { healthStatus: HealthStatus.HEALTHY } : {}),
    loadBalancingWeight: endpoint.weight,
    metadata: filterMetadata(metadata),
  });
}

/** A path stands for a socket in the file system. */
function socketAddress(address: string, port: number) {
  if (address.startsWith("/")) return { case: "pipe" as const, value: { path: address } };
  return tcpAddress(address, port);
}
