import { create } from "@bufbuild/protobuf";
import { istioLabels } from "../../api/istio/index.ts";
import type { CollectionReader } from "../../kube/index.ts";
import { HealthStatus, LbEndpointSchema, LocalityLbEndpointsSchema, type LocalityLbEndpoints } from "../../wire/envoy/index.ts";
import { formatAuthority } from "../../wire/hbone/index.ts";
import type { MeshInputs } from "../model/mesh-inputs.ts";
import type { ServiceModel } from "../model/service-model.ts";
import { WaypointBindings, waypointPods, type Waypoint, type Waypoints } from "../model/waypoint.ts";
import { connectOriginateName, originalDestinationFilter } from "./cluster.ts";
import { internalAddress } from "./envoy-address.ts";
import { filterMetadata } from "./envoy-any.ts";

/** The waypoint that gateways lead a service's requests through: only where the service asks for it. */
export function ingressWaypoint(service: ServiceModel, inputs: MeshInputs, waypoints: Waypoints, reader: CollectionReader): Waypoint | undefined {
  if (service.registry !== "Kubernetes" || service.addresses.length === 0) return undefined;
  const own = service.labels[istioLabels.ingressUseWaypoint];
  const wanted = own ?? reader.get(inputs.namespaces, service.namespace)?.labels[istioLabels.ingressUseWaypoint];
  if (wanted !== "true") return undefined;
  const waypoint = new WaypointBindings(inputs, waypoints).ofService(service, reader);
  return waypoint?.published === true ? waypoint : undefined;
}

/** A service as its waypoint's pods are asked for it: a tunnel to each, for the service's own address. */
export function throughWaypoint(service: ServiceModel, port: number, waypoint: Waypoint, inputs: MeshInputs, reader: CollectionReader): readonly LocalityLbEndpoints[] {
  const [address = ""] = service.addresses;
  const local = formatAuthority(address, port);
  const pods = reader.lookup(waypointPods(inputs), waypoint.key).filter((pod) => pod.ready);
  const lbEndpoints = pods
    .flatMap((pod) => pod.addresses.slice(0, 1))
    .sort()
    .map((pod) =>
      create(LbEndpointSchema, {
        hostIdentifier: {
          case: "endpoint",
          value: { address: { address: internalAddress(connectOriginateName, local) } },
        },
        healthStatus: HealthStatus.HEALTHY,
        loadBalancingWeight: 1,
        metadata: filterMetadata({ [originalDestinationFilter]: { local, waypoint: formatAuthority(pod, waypoint.port) }, "envoy.transport_socket_match": { tunnel: "http" } }),
      }),
    );
  return lbEndpoints.length === 0 ? [] : [create(LocalityLbEndpointsSchema, { lbEndpoints, loadBalancingWeight: lbEndpoints.length })];
}
