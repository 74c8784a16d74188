import { create } from "@bufbuild/protobuf";
import { istioLabels } from "../../api/istio/index.ts";
import type { CollectionReader } from "../../kube/index.ts";
import {
  HealthStatus,
  LbEndpointSchema,
  LocalityLbEndpointsSchema,
  type LocalityLbEndpoints,
} from "../../wire/envoy/index.ts";
import { formatAuthority } from "../../wire/hbone/index.ts";
import { compareText } from "../model/facts.ts";
import type { MeshInputs } from "../model/mesh-inputs.ts";
import type { ServiceModel } from "../model/service/service-model.ts";
import { WaypointBindings, type WaypointShare } from "../model/ambient/waypoint-bindings.ts";
import { waypointPods, type Waypoints } from "../model/ambient/waypoint.ts";
import { weightedPods } from "../model/ambient/waypoint-canary.ts";
import { connectOriginateName, originalDestinationFilter } from "./cluster.ts";
import { internalAddress } from "./envoy-address.ts";
import { filterMetadata } from "./envoy-any.ts";

/**
 * The waypoints through which gateways send a service's requests. Empty unless the service or its namespace asks for
 * that.
 */
export function ingressWaypoints(
  service: ServiceModel,
  inputs: MeshInputs,
  waypoints: Waypoints,
  reader: CollectionReader,
): readonly WaypointShare[] {
  // Waypoints do not know hosts in clusterset.local.
  if (service.registry !== "Kubernetes" || service.clusterSet === true || service.addresses.length === 0) return [];
  const own = service.labels[istioLabels.ingressUseWaypoint];
  const wanted = own ?? reader.get(inputs.namespaces, service.namespace)?.labels[istioLabels.ingressUseWaypoint];
  if (wanted !== "true") return [];
  const shares = new WaypointBindings(inputs, waypoints).sharesOfService(service, reader);
  return shares[0]?.waypoint.published === true ? shares : [];
}

/** How many units of an endpoint's weight are one percent. With 100, a hundred pods can share one percent. */
const weightUnits = 100;

/**
 * The endpoints of a service for clients that go through its waypoint: for each pod of the waypoint, a tunnel to that
 * pod for the service's own address.
 */
export function throughWaypoints(
  service: ServiceModel,
  port: number,
  shares: readonly WaypointShare[],
  inputs: MeshInputs,
  reader: CollectionReader,
): readonly LocalityLbEndpoints[] {
  const [address = ""] = service.addresses;
  const local = formatAuthority(address, port);
  const pods = shares.flatMap((share) =>
    weightedPods([share], waypointPods(inputs), reader).map(({ pod, weight }) => ({
      pod,
      weight,
      waypoint: share.waypoint,
    })),
  );
  const alike = pods.every(({ weight }) => weight === pods[0]?.weight);
  const lbEndpoints = pods
    .flatMap(({ pod, weight, waypoint }) =>
      pod.addresses.slice(0, 1).map((address) => ({
        waypoint: formatAuthority(address, waypoint.port),
        weight: alike ? 1 : Math.max(1, Math.round(weight * weightUnits)),
      })),
    )
    .sort((left, right) => compareText(left.waypoint, right.waypoint))
    .map(({ waypoint, weight }) =>
      create(LbEndpointSchema, {
        hostIdentifier: {
          case: "endpoint",
          value: { address: { address: internalAddress(connectOriginateName, local) } },
        },
        healthStatus: HealthStatus.HEALTHY,
        loadBalancingWeight: weight,
        metadata: filterMetadata({
          [originalDestinationFilter]: { local, waypoint },
          "envoy.transport_socket_match": { tunnel: "http" },
        }),
      }),
    );
  return lbEndpoints.length === 0
    ? []
    : [
        create(LocalityLbEndpointsSchema, {
          lbEndpoints,
          loadBalancingWeight: lbEndpoints.reduce((sum, endpoint) => sum + (endpoint.loadBalancingWeight ?? 1), 0),
        }),
      ];
}
