import { create } from "@bufbuild/protobuf";
import type { Collection, CollectionGraph, CollectionReader } from "../../kube/index.ts";
import { Cluster_DiscoveryType, ClusterLoadAssignmentSchema, ClusterSchema, type ClusterLoadAssignment } from "../../wire/envoy/index.ts";
import { isClusterLocal } from "../model/cluster-local.ts";
import { destinationRuleFor, type DestinationRuleModel, type DestinationRules } from "../model/destination-rule-model.ts";
import { meshKey, type Labels, type MeshSettings } from "../model/facts.ts";
import type { MeshInputs } from "../model/mesh-inputs.ts";
import { gatewaysOf, type NetworkGatewaysModel } from "../model/network-gateways.ts";
import { namespaceMutualTls, peerAuthenticationsFor } from "../model/peer-authentication.ts";
import { nowhere, type EndpointModel, type LocalityModel } from "../model/service-endpoint-model.ts";
import { everyone, getEndpoints, identitiesOf, ofSubset, type ServiceEndpoints } from "../model/service-endpoints.ts";
import { Remembered } from "../model/remembered.ts";
import { registeredService, type ServiceModel, type ServiceRegistry } from "../model/service-model.ts";
import type { Waypoints } from "../model/waypoint.ts";
import type { OutboundScope, ScopedService } from "../model/sidecar-scope.ts";
import { loadAssignment, localityGroups } from "./endpoints.ts";
import { byLocality, dependsOnPlace } from "./outbound-locality.ts";
import { isSeenBy } from "./network-endpoints.ts";
import { discoveryType, outboundCluster, subsetClusterName } from "./outbound-cluster.ts";
import { encodeResource, sameResource, type EncodedResource } from "./resource.ts";
import { effectivePolicy, localitySetting, type EffectivePolicy } from "./traffic-policy.ts";
import { ingressWaypoints, throughWaypoints } from "./waypoint-endpoints.ts";

/** What the clusters of scopes are made of; scopes that see a cluster alike share it. */
export interface ClusterSources {
  readonly inputs: MeshInputs;
  readonly registry: ServiceRegistry;
  readonly endpoints: ServiceEndpoints;
  readonly destinationRules: DestinationRules;
  readonly waypoints: Waypoints;
  readonly networkGateways: NetworkGatewaysModel;
}

/** One cluster as one scope sees it. Equal variants are one resource. */
interface ClusterVariant {
  readonly name: string;
  readonly registry: ServiceModel["registry"];
  /** Of the service. */
  readonly service: string;
  readonly port: number;
  readonly subset: string | undefined;
  /** Whose rules hold: namespace and labels of the client; undefined where no rule is. */
  readonly client: { readonly namespace: string; readonly labels: Labels } | undefined;
  readonly isSidecar: boolean;
  readonly hbone: boolean;
  readonly locality: LocalityModel | undefined;
  readonly node: string;
  /** Undefined: it makes no difference. */
  readonly network: string | undefined;
  readonly clusterId: string | undefined;
  readonly networkView: readonly string[] | undefined;
}

/** A cluster as some scopes have it: one object for all of them. */
interface SharedCluster {
  readonly variant: ClusterVariant;
  /** Keys into the shared collections. */
  readonly cluster: string;
  /** Undefined for clusters that need no endpoints told. */
  readonly endpoints: string | undefined;
}

/** A cluster of a scope: which shared resources are its own. */
export interface ScopedCluster {
  readonly scope: string;
  readonly name: string;
  /** As the only element of a list. */
  readonly shared: readonly [SharedCluster];
}

export interface OutboundClusters {
  /** By `<scope>|<cluster>`. */
  readonly scoped: Collection<ScopedCluster>;
  /** By {@link ScopedCluster.cluster}. */
  readonly clusters: Collection<EncodedResource>;
  /** By {@link ScopedCluster.endpoints}. */
  readonly assignments: Collection<EncodedResource>;
}

export function deriveOutboundClusters(graph: CollectionGraph, scopes: Collection<OutboundScope>, sources: ClusterSources): OutboundClusters {
  // One item a service, so that a change of one service leaves the clusters of the others alone.
  const services = graph.flatten("scope-services", scopes, (scope) => scope.services.map((service) => ofScope.of(service, scope.scope, () => ({ scope: clientOf(scope), service }))), ({ scope, service }) => `${scope.scope}|${service.hostname}|${service.key}|${service.ports.join()}`);
  const scoped = graph.derive("scope-clusters", services, ({ scope, service }, reader) => {
    const mesh = reader.get(sources.inputs.mesh, meshKey);
    return mesh === undefined ? [] : scopedClusters(scope, service, mesh, sources, reader).map((cluster) => [`${scope.scope}|${cluster.name}`, cluster] as const);
  });
  const wantedClusters = graph.flatten("cluster-variants", scoped, ({ shared }) => shared, ({ cluster }) => cluster);
  const wantedAssignments = graph.flatten("assignment-variants", scoped, ({ shared }) => (shared[0].endpoints === undefined ? none : shared), ({ endpoints }) => endpoints ?? "");
  return {
    scoped,
    clusters: graph.derive("cds-outbound", wantedClusters, ({ variant }, reader, key) => encodeCluster(variant, key, sources, reader), sameResource),
    assignments: graph.derive("eds", wantedAssignments, ({ variant }, reader, key) => encodeAssignment(variant, key, sources, reader), sameResource),
  };
}

const none: readonly SharedCluster[] = [];
const sharedClusters = new Remembered<ServiceModel, readonly [SharedCluster]>();

/** Services as the clients of one scope have them; what a scope's clients are, its name says. */
const ofScope = new Remembered<ScopedService, { readonly scope: ScopeClient; readonly service: ScopedService }>();

type ScopeClient = Pick<OutboundScope, "scope" | "kind" | "namespace" | "labels" | "locality" | "node" | "hbone" | "network" | "clusterId" | "networkView">;

function clientOf({ scope, kind, namespace, labels, locality, node, hbone, network, clusterId, networkView }: OutboundScope): ScopeClient {
  return { scope, kind, namespace, labels, locality, node, hbone, network, clusterId, networkView };
}

function scopedClusters(scope: ScopeClient, { key, registry: registered, ports }: ScopedService, mesh: MeshSettings, sources: ClusterSources, reader: CollectionReader): readonly ScopedCluster[] {
  const service = registeredService({ registry: registered, key }, sources.registry, reader);
  if (service === undefined || service.resolution === "alias") return [];
  const client = { namespace: scope.namespace, labels: scope.labels };
  const rule = destinationRuleFor(service, client, mesh, sources.destinationRules, reader);
  const isSidecar = scope.kind === "sidecar";
  return ports.flatMap((port) =>
    [undefined, ...(rule?.subsets ?? []).map((subset) => subset.name)].map((subset): ScopedCluster => {
      const name = subsetClusterName(port, subset, service.hostname);
      const policy = effectivePolicy(rule, subset, port, mesh);
      const placed = scope.locality !== undefined && dependsOnPlace(policy, localitySetting(policy, service.preference, mesh));
      const variant: ClusterVariant = {
        name,
        registry: registered,
        service: key,
        port,
        subset,
        client: rule === undefined ? undefined : client,
        isSidecar,
        hbone: scope.hbone,
        locality: placed ? scope.locality : undefined,
        node: placed ? scope.node : "",
        network: scope.network,
        clusterId: scope.clusterId,
        networkView: scope.networkView,
      };
      const who = rule === undefined ? "" : `${rule.namespace}/${rule.name}/${rule.host} ${rule.selector === undefined && !needsLabels(policy, mesh) ? ruleReach(rule, client.namespace, mesh) : `${client.namespace} ${JSON.stringify(client.labels)}`}`;
      const place = variant.locality === undefined ? "" : `${variant.locality.region}/${variant.locality.zone}/${variant.locality.subzone}@${variant.node}`;
      const from = scope.network === undefined && scope.clusterId === undefined && scope.networkView === undefined ? "" : ` ${JSON.stringify([scope.network, scope.clusterId, scope.networkView])}`;
      const shared = `${name}#${key} ${registered} ${who} ${scope.hbone ? "hbone" : ""}${from}`;
      const told = tellsEndpoints(service, isSidecar, policy.loadBalancer?.simple);
      const cluster = `${shared} ${isSidecar ? "" : "router"} ${told ? "" : place}`;
      // Gateways may go through waypoints.
      const endpoints = told ? `${shared} ${scope.hbone && !isSidecar ? "router" : ""} ${place}` : undefined;
      const found = sharedClusters.of(service, `${cluster}|${endpoints ?? ""}`, () => [{ variant, cluster, endpoints }]);
      return { scope: scope.scope, name: found[0].variant.name, shared: found };
    }),
  );
}

/** Clients of one namespace may have rules merged from other objects than clients elsewhere. */
function ruleReach(rule: DestinationRuleModel, namespace: string, mesh: MeshSettings): string {
  if (namespace !== rule.namespace) return "exported";
  return namespace === mesh.rootNamespace ? "root" : "local";
}

function needsLabels(policy: EffectivePolicy, mesh: MeshSettings): boolean {
  return (policy.loadBalancer?.localityLbSetting ?? mesh.localityLbSetting).failoverPriority.length + (policy.loadBalancer?.zoneAwareLbSetting?.failoverPriority.length ?? 0) > 0;
}

function tellsEndpoints(service: ServiceModel, isSidecar: boolean, simple: string | undefined): boolean {
  return simple !== "PASSTHROUGH" && discoveryType(service, isSidecar) === Cluster_DiscoveryType.EDS;
}

interface ResolvedVariant {
  readonly mesh: MeshSettings;
  readonly service: ServiceModel;
  readonly rule: DestinationRuleModel | undefined;
  /** Of the port, before a subset takes its part. */
  readonly all: readonly EndpointModel[];
  readonly endpoints: readonly EndpointModel[];
}

function resolve(variant: ClusterVariant, sources: ClusterSources, reader: CollectionReader, withEndpoints: boolean): ResolvedVariant | undefined {
  const mesh = reader.get(sources.inputs.mesh, meshKey);
  const service = registeredService({ registry: variant.registry, key: variant.service }, sources.registry, reader);
  if (mesh === undefined || service === undefined) return undefined;
  const rule = variant.client === undefined ? undefined : destinationRuleFor(service, variant.client, mesh, sources.destinationRules, reader);
  const all = withEndpoints ? getEndpoints(sources.endpoints, service, variant.port, reader) : [];
  const endpoints = ofSubset(all, rule?.subsets.find((subset) => subset.name === variant.subset));
  return { mesh, service, rule, all, endpoints };
}

function encodeCluster(variant: ClusterVariant, key: string, sources: ClusterSources, reader: CollectionReader): Iterable<readonly [string, EncodedResource]> {
  const found = resolve(variant, sources, reader, false);
  const port = found?.service.ports.find((candidate) => candidate.port === variant.port);
  if (found === undefined || port === undefined) return [];
  const { mesh, service, rule } = found;
  const type = discoveryType(service, variant.isSidecar);
  const policy = effectivePolicy(rule, variant.subset, variant.port, mesh);
  const passthrough = service.resolution === "passthrough" || policy.loadBalancer?.simple === "PASSTHROUGH";
  const carries = type === Cluster_DiscoveryType.STRICT_DNS || type === Cluster_DiscoveryType.LOGICAL_DNS;
  const known = passthrough || carries || variant.hbone ? resolve(variant, sources, reader, true) : found;
  const cluster = outboundCluster({
    service,
    port,
    subset: variant.subset,
    rule,
    mesh,
    isSidecar: variant.isSidecar,
    hbone: variant.hbone,
    identities: identitiesOf(service, mesh, sources.endpoints, sources.inputs, reader),
    automaticTls: takesMutualTls(service.namespace, mesh, sources.inputs, reader) && (!passthrough || everyone(known?.all ?? [], (endpoint) => endpoint.mutualTls)),
    allCaptured: variant.hbone && everyone(known?.all ?? [], (endpoint) => endpoint.captured),
    assignment: carries ? assignmentOf(variant, known ?? found, false, sources, reader) : undefined,
  });
  return cluster === undefined ? [] : [[key, encodeResource(ClusterSchema, variant.name, cluster)]];
}

function encodeAssignment(variant: ClusterVariant, key: string, sources: ClusterSources, reader: CollectionReader): Iterable<readonly [string, EncodedResource]> {
  const found = resolve(variant, sources, reader, true);
  if (found === undefined) return [];
  return [[key, encodeResource(ClusterLoadAssignmentSchema, variant.name, waypointAssignment(variant, found, sources, reader) ?? assignmentOf(variant, found, true, sources, reader))]];
}

/** Of what gateways reach through a waypoint. */
function waypointAssignment({ name, port, isSidecar, hbone }: ClusterVariant, { service }: ResolvedVariant, { inputs, waypoints }: ClusterSources, reader: CollectionReader): ClusterLoadAssignment | undefined {
  const shares = isSidecar || !hbone ? [] : ingressWaypoints(service, inputs, waypoints, reader);
  return shares.length === 0 ? undefined : create(ClusterLoadAssignmentSchema, { clusterName: name, endpoints: [...throughWaypoints(service, port, shares, inputs, reader)] });
}

function assignmentOf(variant: ClusterVariant, { mesh, service, rule, endpoints }: ResolvedVariant, healthKnown: boolean, { networkGateways }: ClusterSources, reader: CollectionReader): ClusterLoadAssignment {
  const { network = "", clusterId = mesh.clusterId, networkView: view } = variant;
  const client = { network, clusterId, view, gateways: gatewaysOf(healthKnown ? networkGateways.resolved : networkGateways.unresolved, reader) };
  const clusterLocal = isClusterLocal(service.hostname, mesh);
  const policy = effectivePolicy(rule, variant.subset, variant.port, mesh);
  const groups = localityGroups(endpoints.filter((endpoint) => isSeenBy(client, endpoint, clusterLocal)), { hbone: variant.hbone, healthKnown, client, ruleTls: policy.tls?.mode });
  const place = { locality: variant.locality ?? nowhere, node: variant.node, network, clusterId, labels: variant.client?.labels ?? {} };
  return loadAssignment(variant.name, variant.locality === undefined ? groups : byLocality(groups, policy, localitySetting(policy, service.preference, mesh), place));
}

/** What clients can tell of a service's servers: whether their namespace or the mesh turns mutual TLS off. */
function takesMutualTls(namespace: string, mesh: MeshSettings, inputs: MeshInputs, reader: CollectionReader): boolean {
  return namespaceMutualTls(namespace, mesh.rootNamespace, peerAuthenticationsFor(namespace, mesh.rootNamespace, inputs, reader)) !== "DISABLE";
}
