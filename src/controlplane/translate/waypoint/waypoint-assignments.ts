import { withOwnProxyConfig } from "../../../api/istio/index.ts";
import type { CollectionReader } from "../../../kube/index.ts";
import {
  type ClusterLoadAssignment,
  ClusterLoadAssignmentSchema,
  Cluster_DiscoveryType,
} from "../../../wire/envoy/index.ts";
import type { Waypoint } from "../../model/ambient/waypoint.ts";
import {
  clusterEndpoints,
  type DestinationRuleModel,
  destinationRuleFor,
  subsetOf,
} from "../../model/destination-rule-model.ts";
import { type MeshSettings, meshKey } from "../../model/facts.ts";
import { proxyConfigOfGateway } from "../../model/gateway/gateway-proxy-config.ts";
import { sentEndpoints, usedEndpoints, type EndpointModel } from "../../model/service/service-endpoint-model.ts";
import { getAllEndpoints } from "../../model/service/service-endpoints.ts";
import type { ServiceModel } from "../../model/service/service-model.ts";
import { type LocalityGroup, loadAssignment, localityGroups } from "../endpoints.ts";
import { discoveryType } from "../outbound-cluster.ts";
import { byLocality, dependsOnPlace } from "../outbound/outbound-locality.ts";
import type { ScopedEncodedResource } from "../resource.ts";
import { effectivePolicy, localitySetting, sendsUnready } from "../traffic-policy.ts";
import { isVipName } from "./waypoint-name.ts";
import { nearEndpoints, waypointCrossing, waypointEndpoints } from "./waypoint-network.ts";
import { placesOf } from "./waypoint-place.ts";
import { type Sources, scoped } from "./waypoint-sources.ts";

/** The proxy that sends to services: a waypoint, or a gateway between networks. */
export interface ServiceClient extends Pick<Waypoint, "key" | "namespace"> {
  /** Whether the proxy sends only to endpoints of its own network. Absent means no. */
  readonly staysInNetwork?: boolean;
}

export interface ResolvedService {
  readonly waypoint: ServiceClient;
  readonly mesh: MeshSettings;
  readonly service: ServiceModel;
  readonly rule: DestinationRuleModel | undefined;
}

/** A service as a waypoint sees it. Undefined if the waypoint, the service or the mesh's settings do not exist. */
export function resolve(
  waypointKey: string,
  service: ServiceModel | undefined,
  sources: Sources,
  reader: CollectionReader,
): ResolvedService | undefined {
  const waypoint = reader.get(sources.waypoints.all, waypointKey);
  return waypoint === undefined ? undefined : resolveFor(waypoint, service, sources, reader);
}

/** Like {@link resolve}, but also for a gateway between networks. */
export function resolveFor(
  waypoint: ServiceClient,
  service: ServiceModel | undefined,
  { model }: Sources,
  reader: CollectionReader,
): ResolvedService | undefined {
  const settings = reader.get(model.inputs.mesh, meshKey);
  if (settings === undefined || service === undefined) return undefined;
  const mesh = withOwnProxyConfig(settings, proxyConfigOfGateway(waypoint.key, model.inputs, reader));
  return {
    waypoint,
    mesh,
    service,
    rule: destinationRuleFor(
      service,
      { namespace: waypoint.namespace, labels: {} },
      mesh,
      model.destinationRules,
      reader,
    ),
  };
}

/** The endpoints of a port to which the waypoint may send. If `subset` is given, only those of the subset. */
export function endpointsOf(
  found: ResolvedService,
  port: number,
  subset: string | undefined,
  sources: Sources,
  reader: CollectionReader,
): readonly EndpointModel[] {
  return usedEndpoints(reachedEndpoints(found, port, subset, sources, reader));
}

function reachedEndpoints(
  { waypoint, service, rule, mesh }: ResolvedService,
  port: number,
  subset: string | undefined,
  { model }: Sources,
  reader: CollectionReader,
): readonly EndpointModel[] {
  const reached = waypoint.staysInNetwork === true ? nearEndpoints : waypointEndpoints;
  const near = reached(getAllEndpoints(model.endpoints, service, port, reader), service, mesh, model.inputs, reader);
  return clusterEndpoints(near, rule, subsetOf(rule, subset), service.ports.length);
}

/** Connections through a waypoint have an original destination. */
export function discoveryOf(service: ServiceModel): Cluster_DiscoveryType {
  return discoveryType(service, true);
}

/**
 * Whether the proxy resolves the names of the service's endpoints. The service's clusters then contain the endpoints.
 */
export function resolvesNamesOf(service: ServiceModel): boolean {
  const type = discoveryOf(service);
  return type === Cluster_DiscoveryType.STRICT_DNS || type === Cluster_DiscoveryType.LOGICAL_DNS;
}

export interface AssignmentKey {
  readonly name: string;
  readonly port: number;
  readonly subset: string | undefined;
}

function groupsOf(
  found: ResolvedService,
  { name, port, subset }: AssignmentKey,
  resolvesNames: boolean,
  sources: Sources,
  reader: CollectionReader,
): readonly LocalityGroup[] {
  const { inputs, networkGateways } = sources.model;
  const client =
    found.waypoint.staysInNetwork === true
      ? undefined
      : waypointCrossing(found.service, port, isVipName(name), found.mesh, {
          inputs,
          networkGateways,
          resolvesNames,
          reader,
        });
  const { service, rule, mesh } = found;
  const withUnready = !resolvesNames && sendsUnready(service, effectivePolicy(rule, subset, port, mesh), mesh);
  const endpoints = sentEndpoints(reachedEndpoints(found, port, subset, sources, reader), withUnready);
  return localityGroups(endpoints, {
    hbone: "always",
    healthKnown: !resolvesNames,
    client,
  });
}

interface ScopedAssignment {
  readonly scope: string;
  readonly assignment: ClusterLoadAssignment | undefined;
}

export function withoutAssignment({ waypoint }: ResolvedService): ScopedAssignment {
  return { scope: waypoint.key, assignment: undefined };
}

/**
 * One assignment for all pods of a waypoint, and one for each pod if the pod's location matters. With `resolvesNames`,
 * the assignments are for clusters that contain them, because the proxy resolves the names of the endpoints.
 */
export function assignments(
  found: ResolvedService,
  key: AssignmentKey,
  resolvesNames: boolean,
  sources: Sources,
  reader: CollectionReader,
): readonly (ScopedAssignment & { readonly assignment: ClusterLoadAssignment })[] {
  const { waypoint, service, rule, mesh } = found;
  const { name, port, subset } = key;
  const groups = groupsOf(found, key, resolvesNames, sources, reader);
  const entry = (scope: string, own: readonly LocalityGroup[]) => ({ scope, assignment: loadAssignment(name, own) });
  const policy = effectivePolicy(rule, subset, port, mesh);
  const setting = localitySetting(policy, service.preference, mesh);
  const places = dependsOnPlace(policy, setting) ? placesOf(waypoint.key, mesh, sources.model.inputs, reader) : [];
  return [
    entry(waypoint.key, groups),
    ...places.map(({ scope, place }) => entry(scope, byLocality(groups, policy, setting, place))),
  ];
}

/** The assignments of a cluster that requests its endpoints by EDS. */
export function encodeAssignments(
  found: ResolvedService,
  key: AssignmentKey,
  sources: Sources,
  reader: CollectionReader,
): (readonly [string, ScopedEncodedResource])[] {
  return assignments(found, key, false, sources, reader).map(({ scope, assignment }) =>
    scoped(ClusterLoadAssignmentSchema, scope, assignment, key.name),
  );
}
