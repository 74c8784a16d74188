import type { Collection, CollectionGraph, CollectionReader } from "../../../kube/index.ts";
import { Cluster_DiscoveryType, ClusterSchema } from "../../../wire/envoy/index.ts";
import {
  clusterSubsets,
  destinationRuleFor,
  type DestinationRuleModel,
  type RuleClient,
} from "../../model/destination-rule-model.ts";
import { compareText, meshFailoverLabels, meshKey, type MeshSettings } from "../../model/facts.ts";
import { ServersOfServices } from "../../model/service/service-servers.ts";
import { memos } from "../../model/memos.ts";
import { registeredService, type ServiceModel } from "../../model/service/service-model.ts";
import type { OutboundScope } from "../../model/outbound-scope.ts";
import { mayKeepHeaderCase } from "../cluster-draft.ts";
import { isForwarded } from "../dynamic-forward-proxy.ts";
import { deriveScopeServices, type ClientService, type ScopeServices } from "./outbound-client.ts";
import { dependsOnPlace } from "./outbound-locality.ts";
import { discoveryType, outboundCluster, subsetClusterName } from "../outbound-cluster.ts";
import { encodeResource, sameResource, type EncodedResource } from "../resource.ts";
import { effectivePolicy, localitySetting, type EffectivePolicy } from "../traffic-policy.ts";
import { resolvedVariant, type ClusterSources, type ClusterVariant } from "./cluster-variant.ts";
import { assignmentOf, encodeAssignment, takesMutualTls } from "./outbound-assignment.ts";

/** A cluster as some clients see it. They share this object. */
export interface SharedCluster {
  readonly variant: ClusterVariant;
  /** The cluster's key in {@link OutboundClusters.clusters}. */
  readonly cluster: string;
  /** The name under which the cluster requests its endpoints by EDS. Undefined if it does not. */
  readonly endpoints: string | undefined;
}

export interface ServiceClusters {
  readonly hostname: string;
  readonly clusters: readonly SharedCluster[];
}

export interface OutboundClusters {
  readonly scopes: Collection<ScopeServices>;
  /** The clusters of each service, by {@link ClientService.key}. */
  readonly services: Collection<ServiceClusters>;
  /** The clusters by {@link SharedCluster.cluster}. */
  readonly clusters: Collection<EncodedResource>;
  /** The assignments by {@link SharedCluster.endpoints}. */
  readonly assignments: Collection<EncodedResource>;
}

export function deriveOutboundClusters(
  graph: CollectionGraph,
  outboundScopes: Collection<OutboundScope>,
  sources: ClusterSources,
): OutboundClusters {
  const reached = deriveScopeServices(graph, outboundScopes, sources.inputs, sources.destinationRules);
  // Make an item for each service, so that a change of one does not affect the others. Scopes that see a service alike
  // share its item.
  const wanted = graph.flatten(
    "client-services",
    reached,
    ({ services }) => services,
    ({ key }) => key,
  );
  const services = graph.derive(
    "service-clusters",
    wanted,
    (entry, reader, key) => [
      [key, { hostname: entry.service.hostname, clusters: serviceClusters(entry, sources, reader) }],
    ],
    sameClusters,
  );
  const servers = new ServersOfServices(graph, wanted, sources);
  const wantedClusters = graph.flatten(
    "cluster-variants",
    services,
    ({ clusters }) => clusters,
    ({ cluster }) => cluster,
  );
  const wantedAssignments = graph.flatten(
    "assignment-variants",
    services,
    ({ clusters }) => endpointClusters.of(clusters, () => clusters.filter(({ endpoints }) => endpoints !== undefined)),
    ({ endpoints }) => endpoints ?? "",
  );
  return {
    // Scopes must be updated after the services that they refer to.
    scopes: graph.derive("scope-clusters", reached, (scope, _reader, key) => [[key, scope]], Object.is),
    services,
    clusters: graph.derive(
      "cds-outbound",
      wantedClusters,
      ({ variant }, reader, key) => encodeCluster(variant, key, { ...sources, servers }, reader),
      sameResource,
    ),
    assignments: graph.derive(
      "eds",
      wantedAssignments,
      ({ variant }, reader, key) => encodeAssignment(variant, key, sources, reader),
      sameResource,
    ),
  };
}

const sharedClusters = memos.keyed<ServiceModel, SharedCluster>("clusters-of-services");
const endpointClusters = memos.memo<readonly SharedCluster[], readonly SharedCluster[]>("clusters-with-endpoints");

function serviceClusters(
  { client, service: { key, registry: registered, ports } }: ClientService,
  sources: ClusterSources,
  reader: CollectionReader,
): readonly SharedCluster[] {
  const mesh = reader.get(sources.inputs.mesh, meshKey);
  const service =
    mesh === undefined ? undefined : registeredService({ registry: registered, key }, sources.registry, reader);
  if (mesh === undefined || service === undefined || service.resolution === "alias") return [];
  const { rule, text, standIn } = ruled(client, (other) =>
    destinationRuleFor(service, other, mesh, sources.destinationRules, reader),
  );
  const { isSidecar, hbone, network, clusterId, networkView } = client;
  const subsets = [undefined, ...clusterSubsets(rule, ports.length).map(({ name }) => name)];
  const clusters = ports.flatMap((port) =>
    subsets.map((subset): SharedCluster => {
      const name = subsetClusterName(port, subset, service.hostname);
      const policy = effectivePolicy(rule, subset, port, mesh);
      const placed =
        client.locality !== undefined && dependsOnPlace(policy, localitySetting(policy, service.preference, mesh));
      const locality = placed ? client.locality : undefined;
      const node = placed ? client.node : "";
      const ruleClient = standIn(needsLabels(policy, mesh));
      const place = locality === undefined ? "" : `${locality.region}/${locality.zone}/${locality.subzone}@${node}`;
      const from =
        network === undefined && clusterId === undefined && networkView === undefined
          ? ""
          : ` ${JSON.stringify([network, clusterId, networkView])}`;
      const shared = `${name}#${key} ${registered} ${text} ${clientText(ruleClient)} ${hbone ? "hbone" : ""}${from}`;
      const hasEndpoints = hasDiscoveredEndpoints(service, isSidecar, policy.loadBalancer?.simple);
      const keepsHeaderCase =
        client.keepsHeaderCase && service.ports.some((own) => own.port === port && mayKeepHeaderCase(own.protocol));
      const cluster = [
        shared,
        isSidecar ? "" : "router",
        hasEndpoints ? "" : place,
        ...(keepsHeaderCase ? ["case"] : []),
      ].join(" ");
      // Gateways get other endpoints than sidecars, because they may use waypoints and enter other networks in a
      // different way.
      const endpoints = hasEndpoints
        ? [shared, !isSidecar && (hbone || mesh.ambientMultiNetwork === true) ? "router" : "", place].join(" ")
        : undefined;
      return sharedClusters.of(service, `${cluster}|${endpoints ?? ""}`, () => ({
        variant: {
          name,
          registry: registered,
          service: key,
          port,
          subset,
          client: ruleClient,
          isSidecar,
          keepsHeaderCase,
          hbone,
          locality,
          node,
          network,
          clusterId,
          networkView,
        },
        cluster,
        endpoints,
      }));
    }),
  );
  return clusters.sort((left, right) => compareText(left.variant.name, right.variant.name));
}

function clientText({ namespace, labels }: RuleClient): string {
  return namespace === "" && Object.keys(labels).length === 0 ? "" : `${namespace} ${JSON.stringify(labels)}`;
}

/** Clusters with equal keys are equal. */
function sameClusters(left: ServiceClusters, right: ServiceClusters): boolean {
  return (
    left.hostname === right.hostname &&
    left.clusters.length === right.clusters.length &&
    left.clusters.every(
      ({ cluster, endpoints }, index) =>
        cluster === right.clusters[index]?.cluster && endpoints === right.clusters[index]?.endpoints,
    )
  );
}

interface Ruled {
  readonly rule: DestinationRuleModel | undefined;
  /** A text that is equal for clients with the same rule. */
  readonly text: string;
  /** The client for whom the shared clusters are made. */
  readonly standIn: (withLabels: boolean) => RuleClient;
}

/**
 * Finds a client's rule, and the client that stands for it in a shared cluster. This stand-in has no namespace, or at
 * least no labels, if a client without them gets the same rule. A shared cluster must not name one of its real clients,
 * because a later rule may apply to that client only.
 */
function ruled(client: RuleClient, ruleOf: (client: RuleClient) => DestinationRuleModel | undefined): Ruled {
  const rule = ruleOf(client);
  const text = ruleText(rule);
  const found = new Map<boolean, RuleClient>();
  const standIn = (withLabels: boolean): RuleClient => {
    const labels = withLabels ? client.labels : {};
    const others = ["", client.namespace].map((namespace) => ({ namespace, labels }));
    return others.find((other) => ruleText(ruleOf(other)) === text) ?? client;
  };
  return {
    rule,
    text,
    standIn: (withLabels) => {
      const other = found.get(withLabels) ?? standIn(withLabels);
      found.set(withLabels, other);
      return other;
    },
  };
}

function ruleText(rule: DestinationRuleModel | undefined): string {
  return rule === undefined ? "" : `${rule.namespace}/${rule.name}/${rule.host}`;
}

function needsLabels(policy: EffectivePolicy, mesh: MeshSettings): boolean {
  return (
    meshFailoverLabels(mesh).length +
      (policy.loadBalancer?.localityLbSetting?.failoverPriority.length ?? 0) +
      (policy.loadBalancer?.zoneAwareLbSetting?.failoverPriority.length ?? 0) >
    0
  );
}

function hasDiscoveredEndpoints(service: ServiceModel, isSidecar: boolean, simple: string | undefined): boolean {
  return simple !== "PASSTHROUGH" && discoveryType(service, isSidecar) === Cluster_DiscoveryType.EDS;
}

function encodeCluster(
  variant: ClusterVariant,
  key: string,
  sources: ClusterSources & { readonly servers: ServersOfServices },
  reader: CollectionReader,
): Iterable<readonly [string, EncodedResource]> {
  const found = resolvedVariant(variant, sources, reader);
  const port = found?.service.ports.find((candidate) => candidate.port === variant.port);
  if (found === undefined || port === undefined) return [];
  const { service, rule } = found;
  const mesh = mayKeepHeaderCase(port.protocol) ? withHeaderCase(found.mesh, variant.keepsHeaderCase) : found.mesh;
  // All hosts that a wildcard covers belong to the service, so subsets have no meaning for it.
  if (isForwarded(service) && variant.subset !== undefined) return [];
  const type = discoveryType(service, variant.isSidecar);
  const policy = effectivePolicy(rule, variant.subset, variant.port, mesh);
  const passthrough = service.resolution === "passthrough" || policy.loadBalancer?.simple === "PASSTHROUGH";
  const carries = type === Cluster_DiscoveryType.STRICT_DNS || type === Cluster_DiscoveryType.LOGICAL_DNS;
  const { identities, mutualTlsPorts, tunnelledPorts } = sources.servers.get(
    { registry: variant.registry, key: variant.service },
    reader,
  );
  const cluster = outboundCluster({
    service,
    port,
    subset: variant.subset,
    rule,
    mesh,
    isSidecar: variant.isSidecar,
    followsClient: variant.isSidecar,
    hasOriginalDestination: variant.isSidecar,
    hbone: variant.hbone,
    identities,
    automaticTls:
      takesMutualTls(service.namespace, mesh, sources.inputs, reader) &&
      (!passthrough || mutualTlsPorts.includes(variant.port)),
    allCaptured: variant.hbone && tunnelledPorts.includes(variant.port),
    assignment: carries ? assignmentOf(variant, found, { ...sources, healthKnown: false }, reader) : undefined,
  });
  return cluster === undefined ? [] : [[key, encodeResource(ClusterSchema, variant.name, cluster)]];
}

function withHeaderCase(mesh: MeshSettings, preserveHttp1HeaderCase: boolean): MeshSettings {
  return mesh.proxyHeaders.preserveHttp1HeaderCase === preserveHttp1HeaderCase
    ? mesh
    : { ...mesh, proxyHeaders: { ...mesh.proxyHeaders, preserveHttp1HeaderCase } };
}
