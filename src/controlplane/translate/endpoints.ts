import { create, type JsonObject } from "@bufbuild/protobuf";
import type { ClientTls } from "../../api/istio/index.ts";
import {
  ClusterLoadAssignmentSchema,
  HealthStatus,
  LbEndpointSchema,
  LocalityLbEndpointsSchema,
  type ClusterLoadAssignment,
  type LbEndpoint,
  type LocalityLbEndpoints,
} from "../../wire/envoy/index.ts";
import { formatAuthority } from "../../wire/hbone/index.ts";
import { localityText, takesIstioTls, type EndpointModel } from "../model/service/service-endpoint-model.ts";
import { connectOriginateName, originalDestinationFilter } from "./cluster.ts";
import { internalAddress, tcpAddress } from "./envoy-address.ts";
import { filterMetadata } from "./envoy-any.ts";
import { acrossNetworks, type ClientNetwork, type LocatedEndpoint } from "./network-endpoints.ts";

export interface AssignmentOptions {
  /** The workloads to which clients use HBONE: none, those without Istio's mutual TLS, or all that accept it. */
  readonly hbone: "never" | "needed" | "always";
  /**
   * Whether the control plane sends the endpoints, so that they are known to be ready. Otherwise, the proxy resolves
   * names itself.
   */
  readonly healthKnown: boolean;
  /** The TLS mode that a DestinationRule sets for the endpoints. Undefined if it sets none. */
  readonly ruleTls?: ClientTls["mode"] | undefined;
  /** Where the client is. Absent means that it reaches all endpoints. */
  readonly client?: ClientNetwork | undefined;
}

/** Endpoints of one locality, in the same order as in the resource. */
export interface LocalityGroup {
  readonly resource: LocalityLbEndpoints;
  readonly endpoints: readonly LocatedEndpoint["endpoint"][];
}

/**
 * The maximum sum of weights. Proxies refuse endpoints whose weights add up to more than 32 bits. The maximum is half
 * of that, because rounding raises small weights to 1, which may exceed the maximum.
 */
const maxTotalWeight = 2 ** 31;

/** The endpoints with weights that are reduced in proportion if their total exceeds the limit. */
function withBoundedWeights(endpoints: readonly EndpointModel[], limit: number): readonly EndpointModel[] {
  const total = endpoints.reduce((sum, { weight }) => sum + weight, 0);
  if (total <= limit) return endpoints;
  return endpoints.map((endpoint) => ({
    ...endpoint,
    weight: Math.max(1, Math.floor(endpoint.weight * (limit / total))),
  }));
}

/** Groups endpoints by locality, and sets how each is reached. The endpoints must be sorted by locality. */
export function localityGroups(
  endpoints: readonly EndpointModel[],
  options: AssignmentOptions,
): readonly LocalityGroup[] {
  const bounded = withBoundedWeights(endpoints, maxTotalWeight / (options.client?.gateways.scale ?? 1));
  const byLocality = Map.groupBy(bounded, (endpoint) => localityText(endpoint.locality));
  return [...byLocality.values()].flatMap((members) => {
    const located = members.map((endpoint) => ({
      endpoint,
      resource: lbEndpoint(endpoint, options),
      mutualTls: speaksMutualTls(endpoint, options),
    }));
    const reached = options.client === undefined ? located : acrossNetworks(located, options.client);
    // As upstream does, include the locality even without reachable endpoints. It has no effect then.
    return localityGroup(
      reached.map(({ endpoint }) => endpoint),
      reached.map(({ resource }) => resource),
      members[0]?.locality,
    );
  });
}

export function localityGroup(
  endpoints: LocalityGroup["endpoints"],
  resources: readonly LbEndpoint[],
  locality = endpoints[0]?.locality,
): LocalityGroup {
  const { region, zone, subzone } = locality ?? { region: "", zone: "", subzone: "" };
  const resource = create(LocalityLbEndpointsSchema, {
    ...(region === "" && zone === "" && subzone === "" ? {} : { locality: { region, zone, subZone: subzone } }),
    lbEndpoints: [...resources],
    ...(endpoints.length === 0
      ? {}
      : { loadBalancingWeight: endpoints.reduce((sum, endpoint) => sum + endpoint.weight, 0) }),
  });
  return { resource, endpoints };
}

export function loadAssignment(name: string, groups: readonly LocalityGroup[]): ClusterLoadAssignment {
  return create(ClusterLoadAssignmentSchema, { clusterName: name, endpoints: groups.map(({ resource }) => resource) });
}

/**
 * Whether an endpoint is reached through HBONE. If `hbone` is `needed`, a sidecar that also accepts Istio's mutual TLS
 * is reached by mutual TLS, whatever policies set.
 */
function isTunnelled(endpoint: EndpointModel, hbone: AssignmentOptions["hbone"]): boolean {
  return endpoint.hbone && (hbone === "always" || (hbone === "needed" && !takesIstioTls(endpoint)));
}

/** Whether clients use Istio's mutual TLS: as the rule says or, without a rule, as the workload's policies say. */
export function speaksMutualTls(endpoint: EndpointModel, { ruleTls, hbone }: AssignmentOptions): boolean {
  if (isTunnelled(endpoint, hbone)) return false;
  if (ruleTls === undefined) return endpoint.mutualTls;
  return ruleTls === "ISTIO_MUTUAL" && (endpoint.mutualTls || takesIstioTls(endpoint));
}

function lbEndpoint(endpoint: EndpointModel, options: AssignmentOptions): LbEndpoint {
  const { hbone, healthKnown } = options;
  const { address, port, workload } = endpoint;
  const metadata: Record<string, JsonObject> = { istio: workload === "" ? {} : { workload } };
  const tunnelled = isTunnelled(endpoint, hbone);
  const destination = formatAuthority(address, port);
  if (tunnelled) {
    metadata[originalDestinationFilter] = { local: destination };
    metadata["envoy.transport_socket_match"] = { tunnel: "http" };
  } else if (speaksMutualTls(endpoint, options)) {
    metadata["envoy.transport_socket_match"] = { tlsMode: "istio" };
  }
  return create(LbEndpointSchema, {
    hostIdentifier: {
      case: "endpoint",
      value: {
        address: {
          address: tunnelled ? internalAddress(connectOriginateName, destination) : socketAddress(address, port),
        },
      },
    },
    ...(endpoint.draining === true
      ? { healthStatus: HealthStatus.DRAINING }
      : endpoint.unready === true
        ? { healthStatus: HealthStatus.UNHEALTHY }
        : healthKnown
          ? { healthStatus: HealthStatus.HEALTHY }
          : {}),
    loadBalancingWeight: endpoint.weight,
    metadata: filterMetadata(metadata),
  });
}

/** A path, or `@` and an abstract name, means a Unix domain socket. */
function socketAddress(address: string, port: number) {
  if (address.startsWith("/") || address.startsWith("@")) return { case: "pipe" as const, value: { path: address } };
  return tcpAddress(address, port);
}
