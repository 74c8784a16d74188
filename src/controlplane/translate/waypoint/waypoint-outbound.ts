import type { ExtensionProvider, ProviderService } from "../../../api/istio/index.ts";
import type { Collection, CollectionGraph, CollectionReader } from "../../../kube/index.ts";
import { ClusterSchema, Cluster_DiscoveryType } from "../../../wire/envoy/index.ts";
import type { Waypoint } from "../../model/ambient/waypoint.ts";
import { meshKey } from "../../model/facts.ts";
import { ProviderClusters } from "../../model/provider-cluster.ts";
import { everyone } from "../../model/service/service-endpoints.ts";
import { identitiesOf } from "../../model/service/service-servers.ts";
import { visibleService } from "../../model/service/service-model.ts";
import { isForwarded } from "../dynamic-forward-proxy.ts";
import { outboundCluster, subsetClusterName } from "../outbound-cluster.ts";
import { type ScopedEncodedResource, sameScopedResource } from "../resource.ts";
import {
  assignments,
  discoveryOf,
  encodeAssignments,
  endpointsOf,
  resolveFor,
  resolvesNamesOf,
  type ServiceClient,
  withoutAssignment,
} from "./waypoint-assignments.ts";
import { clustersOf } from "./waypoint-route.ts";
import { type ServedRegistry, type Sources, portsOf, routeContext, scoped } from "./waypoint-sources.ts";

/**
 * A cluster for a service that the proxy itself does not serve: a destination of its routes, or a provider of the mesh.
 */
export interface OutboundReference {
  readonly client: ServiceClient;
  readonly host: string;
  readonly port: number;
  readonly subset: string | undefined;
}

/**
 * The references to the services of the mesh's providers (authorizers, tracers, logs). As in upstream, waypoints get
 * clusters for all of these, whether they use them or not.
 */
export function deriveProviderReferences(
  graph: CollectionGraph,
  { model, waypoints }: Sources,
): Collection<OutboundReference> {
  const clusters = new ProviderClusters(model.inputs);
  return graph.derive("waypoint-providers", waypoints.all, (waypoint, reader) => {
    const mesh = reader.get(model.inputs.mesh, meshKey);
    return (mesh?.extensionProviders ?? []).flatMap((provider) => {
      const service = serviceOfProvider(provider);
      const found = mesh === undefined || service === undefined ? undefined : clusters.of(service, mesh, reader);
      if (service === undefined || found === undefined) return [];
      return [
        [
          `${waypoint.key}|${found.cluster}`,
          { client: clientOf(waypoint), host: found.host, port: service.port, subset: undefined },
        ] as const,
      ];
    });
  });
}

function serviceOfProvider(provider: ExtensionProvider): ProviderService | undefined {
  return "settings" in provider && "service" in provider.settings ? provider.settings : undefined;
}

export function deriveOutboundReferences(
  graph: CollectionGraph,
  { served, services, suffix }: ServedRegistry,
  sources: Sources,
): Collection<OutboundReference> {
  const { model, waypoints } = sources;
  return graph.derive(`waypoint-outbound${suffix}`, served, (item, reader) => {
    const mesh = reader.get(model.inputs.mesh, meshKey);
    const waypoint = reader.get(waypoints.all, item.waypoint);
    const service = reader.get(services, item.service);
    if (mesh === undefined || waypoint === undefined || service === undefined) return [];
    const ports = portsOf(service, item, routeContext(waypoint, mesh, sources, reader));
    const names = ports.flatMap(({ routes, targets }) => [...clustersOf(routes), ...targets.map(({ name }) => name)]);
    return referencesOf(clientOf(waypoint), names);
  });
}

function clientOf({ key, namespace }: Waypoint): ServiceClient {
  return { key, namespace };
}

/** The references to the services of these clusters, by the client and the cluster's name. */
export function referencesOf(
  client: ServiceClient,
  clusterNames: readonly string[],
): readonly (readonly [string, OutboundReference])[] {
  return [...new Set(clusterNames)].flatMap((name) => {
    const [direction, port, subset, host] = name.split("|");
    if (direction !== "outbound" || host === undefined) return [];
    return [
      [
        `${client.key}|${name}`,
        { client, host, port: Number(port), subset: subset === "" ? undefined : subset },
      ] as const,
    ];
  });
}

export function deriveOutboundClusters(
  graph: CollectionGraph,
  suffix: string,
  sources: Sources,
  references: Collection<OutboundReference>,
): Collection<ScopedEncodedResource> {
  const { model } = sources;
  return graph.derive(
    `cds-waypoint-outbound${suffix}`,
    references,
    (reference, reader) => {
      const found = resolveReference(reference, sources, reader);
      if (found === undefined) return [];
      const { mesh, service, rule, port, endpoints } = found;
      if (isForwarded(service) && reference.subset !== undefined) return [];
      const identities = identitiesOf(service, mesh, model.endpoints, model.inputs, reader);
      const key = { name: found.name, port: port.port, subset: reference.subset };
      const scopes = resolvesNamesOf(service)
        ? assignments(found, key, true, sources, reader)
        : [withoutAssignment(found)];
      return scopes.flatMap(({ scope, assignment }) => {
        const cluster = outboundCluster({
          service,
          port,
          subset: reference.subset,
          rule,
          mesh,
          isSidecar: false,
          followsClient: true,
          hasOriginalDestination: true,
          hbone: true,
          identities,
          automaticTls: true,
          allCaptured: everyone(endpoints, (endpoint) => endpoint.captured),
          assignment,
        });
        return cluster === undefined ? [] : [scoped(ClusterSchema, scope, cluster, cluster.name)];
      });
    },
    sameScopedResource,
  );
}

export function deriveOutboundEndpoints(
  graph: CollectionGraph,
  suffix: string,
  sources: Sources,
  references: Collection<OutboundReference>,
): Collection<ScopedEncodedResource> {
  return graph.derive(
    `eds-waypoint-outbound${suffix}`,
    references,
    (reference, reader) => {
      const found = resolveReference(reference, sources, reader);
      if (found === undefined || discoveryOf(found.service) !== Cluster_DiscoveryType.EDS) return [];
      return encodeAssignments(
        found,
        { name: found.name, port: found.port.port, subset: reference.subset },
        sources,
        reader,
      );
    },
    sameScopedResource,
  );
}

function resolveReference(
  { client, host, port, subset }: OutboundReference,
  sources: Sources,
  reader: CollectionReader,
) {
  const service = visibleService(host, client.namespace, sources.model.registry, reader);
  const found = resolveFor(client, service, sources, reader);
  const own = service?.ports.find((candidate) => candidate.port === port);
  if (found === undefined || own === undefined) return undefined;
  return {
    ...found,
    port: own,
    name: subsetClusterName(port, subset, host),
    endpoints: endpointsOf(found, port, subset, sources, reader),
  };
}
