import type { Collection, CollectionGraph } from "../../../kube/index.ts";
import { deriveServedRegistries } from "./served-registries.ts";
import { ClusterSchema } from "../../../wire/envoy/index.ts";
import { WaypointBindings } from "../../model/ambient/waypoint-bindings.ts";
import { meshKey } from "../../model/facts.ts";
import { connectOriginateCluster } from "../cluster.ts";
import { doubleTunnelClusters } from "../double-tunnel.ts";
import { internalListenerCluster, mainInternalName } from "../inbound/inbound-hbone.ts";
import type { MeshModel } from "../mesh-model.ts";
import { type ScopedEncodedResource, sameScopedResource } from "../resource.ts";
import { deriveEastWestPassthrough } from "./east-west-passthrough.ts";
import { deriveEastWestResources } from "./east-west-resources.ts";
import { peersOfNamespace } from "./waypoint-cluster.ts";
import { encapName } from "./waypoint-listener.ts";
import { crossesNetworks, deriveWaypointListeners } from "./derive-waypoint-listeners.ts";
import {
  deriveOutboundClusters,
  deriveOutboundEndpoints,
  deriveOutboundReferences,
  deriveProviderReferences,
} from "./waypoint-outbound.ts";
import { type ServedRegistry, type ServedService, type Sources, scoped } from "./waypoint-sources.ts";
import { deriveVipClusters, deriveVipEndpoints } from "./waypoint-vips.ts";

/**
 * The resources of waypoints and of gateways between networks. A scope is the key of a {@link Waypoint} or of a
 * Gateway. Endpoints, and clusters that contain their endpoints, may have the scope {@link waypointPodScope} instead,
 * which takes precedence for its pod.
 */
export interface WaypointResources {
  readonly listeners: readonly Collection<ScopedEncodedResource>[];
  readonly clusters: readonly Collection<ScopedEncodedResource>[];
  readonly endpoints: readonly Collection<ScopedEncodedResource>[];
  /** The services behind each waypoint, by {@link servedKey}. */
  readonly served: Readonly<Record<ServedRegistry["kind"], Collection<ServedService>>>;
}

export function deriveWaypointResources(graph: CollectionGraph, model: MeshModel): WaypointResources {
  const { waypoints } = model;
  const bindings = new WaypointBindings(model.inputs, waypoints);
  const [services, entries] = deriveServedRegistries(graph, model, bindings);
  const registries = [services, entries];
  const sources: Sources = { model, waypoints, registries };
  const perRegistry = registries.map((registry) => {
    const outbound = deriveOutboundReferences(graph, registry, sources);
    return {
      clusters: [
        deriveVipClusters(graph, registry, sources),
        deriveOutboundClusters(graph, registry.suffix, sources, outbound),
      ],
      endpoints: [
        deriveVipEndpoints(graph, registry, sources),
        deriveOutboundEndpoints(graph, registry.suffix, sources, outbound),
      ],
    };
  });
  const providers = deriveProviderReferences(graph, sources);
  const eastWest = deriveEastWestResources(graph, model);
  const passthrough = deriveEastWestPassthrough(graph, sources);
  return {
    listeners: [deriveWaypointListeners(graph, sources, bindings), eastWest.listeners, passthrough.listeners],
    clusters: [
      deriveFixedClusters(graph, sources),
      ...perRegistry.flatMap(({ clusters }) => clusters),
      deriveOutboundClusters(graph, "-providers", sources, providers),
      ...eastWest.clusters,
      ...passthrough.clusters,
    ],
    endpoints: [
      ...perRegistry.flatMap(({ endpoints }) => endpoints),
      deriveOutboundEndpoints(graph, "-providers", sources, providers),
      eastWest.endpoints,
      passthrough.endpoints,
    ],
    served: { Service: services.served, ServiceEntry: entries.served },
  };
}

function deriveFixedClusters(graph: CollectionGraph, { model, waypoints }: Sources): Collection<ScopedEncodedResource> {
  return graph.derive(
    "cds-waypoint-fixed",
    waypoints.all,
    (waypoint, reader) => {
      const mesh = reader.get(model.inputs.mesh, meshKey);
      if (mesh === undefined) return [];
      const originate = connectOriginateCluster(mesh, [peersOfNamespace(mesh, waypoint.namespace)]);
      const clusters = [
        internalListenerCluster(mainInternalName),
        internalListenerCluster(encapName, originate.name),
        originate,
        ...(crossesNetworks(mesh) ? doubleTunnelClusters(mesh) : []),
      ];
      return clusters.map((cluster) => scoped(ClusterSchema, waypoint.key, cluster, cluster.name));
    },
    sameScopedResource,
  );
}
