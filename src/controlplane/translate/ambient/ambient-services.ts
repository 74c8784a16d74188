import { istioLabels } from "../../../api/istio/index.ts";
import type { Collection, CollectionGraph, CollectionReader } from "../../../kube/index.ts";
import { AddressSchema } from "../../../wire/workload/index.ts";
import { addressesElsewhere, isGlobalHere } from "../../model/ambient/ambient-networks.ts";
import {
  ambientServiceKey,
  ambientServiceOf,
  type AmbientEntries,
  type AmbientService,
} from "../../model/ambient/ambient-service.ts";
import { localMesh } from "../../model/cluster-view.ts";
import { factsKey, type ServiceFacts } from "../../model/facts.ts";
import { meshClassName, waypointClassName } from "../../model/gateway-class.ts";
import type { MeshInputs } from "../../model/mesh-inputs.ts";
import { isTrueText } from "../../model/true-text.ts";
import type { WaypointBindings, WaypointShare } from "../../model/ambient/waypoint-bindings.ts";
import type { Waypoints } from "../../model/ambient/waypoint.ts";
import { encodeResource, sameResource, type EncodedResource } from "../resource.ts";
import { serviceAddress, waypointAddress, type ServiceContext } from "./service-address.ts";
import { waypointResourceName } from "./workload-address.ts";

export interface AmbientSources {
  readonly inputs: MeshInputs;
  readonly waypoints: Waypoints;
  readonly bindings: WaypointBindings;
  readonly entries: AmbientEntries;
}

/**
 * Derives Kubernetes Services, the services of ServiceEntries, and substitutes for the Services of waypoints that have
 * none, each by its name.
 */
export function deriveAmbientServices(
  graph: CollectionGraph,
  sources: AmbientSources,
): readonly Collection<EncodedResource>[] {
  return [deriveServices(graph, sources), deriveEntryServices(graph, sources), deriveWaypointServices(graph, sources)];
}

function deriveServices(graph: CollectionGraph, sources: AmbientSources): Collection<EncodedResource> {
  const { inputs, waypoints } = sources;
  // Whether a canary's weights divide the service. A preference for near pods would override them, so it is dropped
  // then.
  const isDivided = (service: ServiceFacts, reader: CollectionReader): boolean => {
    const waypoint =
      service.labels[istioLabels.gatewayClassName] === waypointClassName
        ? reader.get(waypoints.all, factsKey(service))
        : undefined;
    return waypoint?.canaryWeight !== undefined;
  };
  return graph.derive(
    "wds-services",
    inputs.services,
    (facts, reader) => {
      const mesh = localMesh(inputs, reader);
      const service =
        mesh === undefined
          ? undefined
          : ambientServiceOf(
              facts,
              mesh,
              facts.inheritsPreference === true ? reader.get(inputs.namespaces, facts.namespace) : undefined,
            );
      if (service === undefined) return [];
      const elsewhere =
        mesh !== undefined && isGlobalHere(facts, mesh, inputs, reader)
          ? addressesElsewhere(facts, mesh, inputs, reader)
          : [];
      return encodedService(
        isDivided(facts, reader) ? { ...service, preference: "none" } : service,
        { canonical: true, elsewhere },
        sources,
        reader,
      );
    },
    sameResource,
  );
}

function deriveEntryServices(graph: CollectionGraph, sources: AmbientSources): Collection<EncodedResource> {
  return graph.derive(
    "wds-service-entries",
    sources.entries.chosen,
    (service, reader) => encodedService(service, { canonical: service.canonical }, sources, reader),
    sameResource,
  );
}

function encodedService(
  service: AmbientService,
  origin: Pick<ServiceContext, "canonical" | "elsewhere">,
  { inputs, bindings }: AmbientSources,
  reader: CollectionReader,
): readonly (readonly [string, EncodedResource])[] {
  const mesh = localMesh(inputs, reader);
  if (mesh === undefined) return [];
  const name = ambientServiceKey(service);
  const shares = publishedShares(bindings.sharesOfService(service, reader));
  const ingressUseWaypoint = shares.length > 0 && usesWaypointForIngress(service, inputs, reader) === true;
  return [
    [
      name,
      encodeResource(AddressSchema, name, serviceAddress(service, { mesh, shares, ...origin, ingressUseWaypoint })),
    ],
  ];
}

function publishedShares(shares: readonly WaypointShare[]): readonly WaypointShare[] {
  return shares[0]?.waypoint.published === true ? shares : [];
}

/**
 * Whether traffic from ingress gateways passes the service's waypoint: by the service's label, or else by its
 * namespace's. Undefined if neither has one.
 */
function usesWaypointForIngress(
  service: Pick<AmbientService, "labels" | "namespace">,
  inputs: MeshInputs,
  reader: CollectionReader,
): boolean | undefined {
  const labelValue =
    service.labels[istioLabels.ingressUseWaypoint] ??
    reader.get(inputs.namespaces, service.namespace)?.labels[istioLabels.ingressUseWaypoint];
  return labelValue === undefined ? undefined : isTrueText(labelValue);
}

function deriveWaypointServices(
  graph: CollectionGraph,
  { inputs, waypoints }: AmbientSources,
): Collection<EncodedResource> {
  return graph.derive(
    "wds-waypoints",
    waypoints.all,
    (waypoint, reader) => {
      const mesh = localMesh(inputs, reader);
      if (mesh === undefined || waypoint.className !== meshClassName) return [];
      const name = waypointResourceName(waypoint, mesh);
      return [[name, encodeResource(AddressSchema, name, waypointAddress(waypoint, mesh))]];
    },
    sameResource,
  );
}
