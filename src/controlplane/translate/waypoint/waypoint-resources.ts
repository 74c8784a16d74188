import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { connectOriginateListener } from "../connect-originate.ts";
import type { MeshModel } from "../mesh-model.ts";
import {
  istioLabels,
  withOwnProxyConfig,
  type ExtensionProvider,
  type ProviderService,
} from "../../../api/istio/index.ts";
import type { Collection, CollectionGraph, CollectionIndex, CollectionReader } from "../../../kube/index.ts";
import {
  Cluster_DiscoveryType,
  ClusterLoadAssignmentSchema,
  ClusterSchema,
  ListenerSchema,
  type ClusterLoadAssignment,
} from "../../../wire/envoy/index.ts";
import type { PolicySubject } from "../../model/authorization-selection.ts";
import { localNetwork } from "../../model/cluster-view.ts";
import { destinationRuleFor, type DestinationRuleModel } from "../../model/destination-rule-model.ts";
import { byCreation, compareText, factsKey, meshKey, type MeshSettings } from "../../model/facts.ts";
import { proxyConfigOfGateway } from "../../model/gateway/gateway-proxy-config.ts";
import { ProviderClusters } from "../../model/provider-cluster.ts";
import type { EndpointModel } from "../../model/service/service-endpoint-model.ts";
import { everyone, getEndpoints, identitiesOf, ofSubset } from "../../model/service/service-endpoints.ts";
import { serviceKey, type ServiceModel } from "../../model/service/service-model.ts";
import { destinationService } from "../../model/sidecar-scope.ts";
import { WaypointBindings, type Waypoint, type Waypoints } from "../../model/ambient/waypoint.ts";
import type { AccessLogInit } from "../telemetry/access-log.ts";
import { tunnelLogsOf2022, writesLogsOf2022 } from "../telemetry/access-log-2022.ts";
import { connectOriginateCluster } from "../cluster.ts";
import { doubleTunnelClusters, doubleTunnelListeners } from "../double-tunnel.ts";
import { deriveEastWestResources } from "./east-west-resources.ts";
import { isForwarded } from "../dynamic-forward-proxy.ts";
import { loadAssignment, localityGroups, type LocalityGroup } from "../endpoints.ts";
import { connectTerminateListener, internalListenerCluster, mainInternalName } from "../inbound/inbound-hbone.ts";
import { byLocality, dependsOnPlace } from "../outbound/outbound-locality.ts";
import { discoveryType, outboundCluster, subsetClusterName } from "../outbound-cluster.ts";
import { encodeResource, sameScopedResource, type ScopedEncodedResource, scopedEntry } from "../resource.ts";
import { SecurityPolicies } from "../security/security-filters.ts";
import { TelemetryPolicies } from "../telemetry/telemetry-policies.ts";
import { effectivePolicy, localitySetting } from "../traffic-policy.ts";
import { peersOfNamespace, vipCluster } from "./waypoint-cluster.ts";
import { waypointPortsOf } from "./waypoint-forwarding.ts";
import {
  encapName,
  mainInternalListener,
  type WaypointPolicies,
  type WaypointPort,
  type WaypointServiceChains,
} from "./waypoint-listener.ts";
import { carriedKinds, isVipName, vipName } from "./waypoint-name.ts";
import { waypointCrossing, waypointEndpoints } from "./waypoint-network.ts";
import { placesOf } from "./waypoint-place.ts";
import { clustersOf, waypointRoutes, waypointTcpTargets, type WaypointRouteContext } from "./waypoint-route.ts";

/**
 * The resources of waypoints and of gateways between networks. Scopes are keys of {@link Waypoint} or of a Gateway.
 * Endpoints, and clusters that contain theirs, may also have a {@link waypointPodScope}, which wins.
 */
export interface WaypointResources {
  readonly listeners: readonly Collection<ScopedEncodedResource>[];
  readonly clusters: readonly Collection<ScopedEncodedResource>[];
  readonly endpoints: readonly Collection<ScopedEncodedResource>[];
}

/** A service that goes through a waypoint. */
interface ServedService {
  readonly waypoint: string;
  /** The service's key in its registry. */
  readonly service: string;
}

/**
 * A cluster for a service that does not go through this waypoint: a destination of its routes, or a provider of the
 * mesh.
 */
interface OutboundReference {
  readonly waypoint: string;
  readonly host: string;
  readonly port: number;
  readonly subset: string | undefined;
}

/** Services from Kubernetes, or from ServiceEntries. */
interface ServedRegistry {
  readonly kind: "Service" | "ServiceEntry";
  readonly services: Collection<ServiceModel>;
  readonly served: Collection<ServedService>;
  readonly byWaypoint: CollectionIndex<ServedService>;
  /** The suffix of the names of derived collections. */
  readonly suffix: string;
}

interface Sources {
  readonly model: MeshModel;
  readonly waypoints: Waypoints;
  readonly registries: readonly ServedRegistry[];
}

const wildcard = "0.0.0.0";

export function deriveWaypointResources(graph: CollectionGraph, model: MeshModel): WaypointResources {
  const { waypoints } = model;
  const bindings = new WaypointBindings(model.inputs, waypoints);
  const registryOf = (
    kind: ServedRegistry["kind"],
    services: Collection<ServiceModel>,
    suffix: string,
  ): ServedRegistry => {
    const served = graph.derive(
      `waypoint-services${suffix}`,
      services,
      (service, reader): Iterable<readonly [string, ServedService]> => {
        if (service.resolution === "alias") return [];
        return bindings
          .waypointsOfService(service, reader)
          .map(
            (waypoint) =>
              [
                servedKey(waypoint.key, serviceKey(service)),
                { waypoint: waypoint.key, service: serviceKey(service) },
              ] as const,
          );
      },
    );
    return { kind, services, served, byWaypoint: served.index("waypoint", (item) => [item.waypoint]), suffix };
  };
  const registries = [
    registryOf("Service", model.registry.kubernetes, ""),
    registryOf("ServiceEntry", model.registry.entries, "-entries"),
  ];
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
  return {
    listeners: [deriveListeners(graph, sources, bindings), eastWest.listeners],
    clusters: [
      deriveFixedClusters(graph, sources),
      ...perRegistry.flatMap(({ clusters }) => clusters),
      deriveOutboundClusters(graph, "-providers", sources, providers),
      ...eastWest.clusters,
    ],
    endpoints: [
      ...perRegistry.flatMap(({ endpoints }) => endpoints),
      deriveOutboundEndpoints(graph, "-providers", sources, providers),
      eastWest.endpoints,
    ],
  };
}

function servedKey(waypoint: string, service: string): string {
  return `${waypoint}|${service}`;
}

function scoped<Schema extends DescMessage>(
  schema: Schema,
  scope: string,
  message: MessageShape<Schema>,
  name: string,
): readonly [string, ScopedEncodedResource] {
  return scopedEntry(scope, encodeResource(schema, name, message));
}

function routeContext(
  waypoint: Waypoint,
  mesh: MeshSettings,
  { model, registries }: Sources,
  reader: CollectionReader,
): WaypointRouteContext {
  const servedOf = (host: string): ServiceModel | undefined => {
    const service = destinationService(host, waypoint.namespace, model.registry, reader);
    if (service === undefined) return undefined;
    const own = registries.find(
      ({ kind }) => kind === (service.registry === "Kubernetes" ? "Service" : "ServiceEntry"),
    );
    return own !== undefined && reader.get(own.served, servedKey(waypoint.key, serviceKey(service))) !== undefined
      ? service
      : undefined;
  };
  return { waypoint, model, mesh, reader, servedOf };
}

function portsOf(service: ServiceModel, context: WaypointRouteContext): readonly WaypointPort[] {
  const forwarded = isForwarded(service);
  return waypointPortsOf(service, context.mesh).map(({ port, protocol }) => {
    const kinds = carriedKinds(protocol);
    const fallback = (carries: "http" | "tcp"): string => vipName(port, carries, undefined, service.hostname);
    return {
      host: service.hostname,
      port,
      protocol,
      routes: kinds.includes("http") ? waypointRoutes(service, port, fallback("http"), context) : [],
      targets: kinds.includes("tcp") ? waypointTcpTargets(service, port, fallback("tcp"), context) : [],
      ...(forwarded ? { forwarded } : {}),
    };
  });
}

function deriveListeners(
  graph: CollectionGraph,
  sources: Sources,
  bindings: WaypointBindings,
): Collection<ScopedEncodedResource> {
  const { model, waypoints, registries } = sources;
  const { inputs } = model;
  const security = new SecurityPolicies(inputs);
  const telemetry = new TelemetryPolicies(inputs);
  const workloads = graph
    .derive("waypoint-workloads", inputs.pods, (pod, reader) => {
      const waypoint = bindings.ofPod(pod, reader);
      return waypoint === undefined
        ? []
        : [[factsKey(pod), { waypoint: waypoint.key, addresses: pod.addresses }] as const];
    })
    .index("waypoint", (item) => [item.waypoint]);
  const policiesOf = (
    waypoint: Waypoint,
    services: NonNullable<PolicySubject["services"]>,
    mesh: MeshSettings,
    reader: CollectionReader,
  ): WaypointPolicies => {
    const { namespace, gateway, className } = waypoint;
    const labels = {
      ...reader.get(inputs.gateways, `${namespace}/${gateway}`)?.labels,
      [istioLabels.gatewayName]: gateway,
    };
    const subject: PolicySubject = {
      namespace,
      labels,
      gateway: { name: gateway, className },
      waypoint: true,
      services,
    };
    return {
      security: security.filtersFor(subject, mesh, reader, { peer: "filter-state", clearRouteCache: true }),
      telemetry: telemetry.telemetryFor(subject, "waypoint", mesh, reader),
      tellsClientIdentity: waypoint.tellsClientIdentity,
    };
  };
  const listenersOf = (waypoint: Waypoint, mesh: MeshSettings, reader: CollectionReader) => {
    const context = routeContext(waypoint, mesh, sources, reader);
    const services = registries.flatMap(({ byWaypoint, services: registered }) =>
      reader
        .lookup(byWaypoint, waypoint.key)
        .flatMap((item) => reader.get(registered, item.service) ?? [])
        .map(withOwnAddresses),
    );
    const chains = [...services].sort(byCreation).map((service): WaypointServiceChains => {
      const target = {
        kind: service.registry === "Kubernetes" ? ("Service" as const) : ("ServiceEntry" as const),
        namespace: service.namespace,
        name: service.objectName,
      };
      return {
        addresses: service.addresses,
        ports: portsOf(service, context),
        policies: policiesOf(waypoint, [target], mesh, reader),
      };
    });
    const addresses = reader
      .lookup(workloads, waypoint.key)
      .flatMap((item) => item.addresses)
      .sort(compareText);
    return [
      connectTerminateListener(mesh, wildcard, ofTunnels(services, mesh)),
      mainInternalListener({
        mesh,
        services: chains,
        workloads: addresses,
        direct: policiesOf(waypoint, [], mesh, reader),
      }),
      connectOriginateListener(),
      ...(crossesNetworks(mesh) ? doubleTunnelListeners("waypoint", localNetwork(mesh, inputs, reader)) : []),
    ];
  };
  return graph.derive(
    "lds-waypoints",
    waypoints.all,
    (waypoint, reader) => {
      const mesh = reader.get(inputs.mesh, meshKey);
      return mesh === undefined
        ? []
        : listenersOf(
            waypoint,
            withOwnProxyConfig(mesh, proxyConfigOfGateway(waypoint.key, inputs, reader)),
            reader,
          ).map((listener) => scoped(ListenerSchema, waypoint.key, listener, listener.name));
    },
    sameScopedResource,
  );
}

function crossesNetworks({ ambientMultiNetwork, ambientNetworkCrossing }: MeshSettings): boolean {
  return ambientMultiNetwork === true && ambientNetworkCrossing?.waypoints !== false;
}

/** Includes assigned addresses of both families, because requests to either reach the waypoint. */
function withOwnAddresses(service: ServiceModel): ServiceModel {
  return service.addresses.length > 0 ? service : { ...service, addresses: service.automaticAddresses ?? [] };
}

/** Tunnels are only logged in the format of 2022. The connections inside are logged separately. */
function ofTunnels(services: readonly ServiceModel[], mesh: MeshSettings): readonly AccessLogInit[] {
  if (!writesLogsOf2022(mesh)) return [];
  return tunnelLogsOf2022(
    services.map(({ hostname, addresses, ports }) => ({
      host: hostname,
      addresses,
      ports: ports.map(({ port }) => port),
    })),
    mesh,
  );
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

/** One port of a service behind a waypoint: for the whole service, or for a subset. */
interface VipVariant {
  readonly name: string;
  readonly carries: "http" | "tcp";
  readonly port: ServiceModel["ports"][number];
  readonly subset: string | undefined;
}

interface ResolvedService {
  readonly waypoint: Waypoint;
  readonly mesh: MeshSettings;
  readonly service: ServiceModel;
  readonly rule: DestinationRuleModel | undefined;
}

function resolve(
  waypointKey: string,
  service: ServiceModel | undefined,
  { model, waypoints }: Sources,
  reader: CollectionReader,
): ResolvedService | undefined {
  const settings = reader.get(model.inputs.mesh, meshKey);
  const waypoint = reader.get(waypoints.all, waypointKey);
  if (settings === undefined || waypoint === undefined || service === undefined) return undefined;
  const mesh = withOwnProxyConfig(settings, proxyConfigOfGateway(waypointKey, model.inputs, reader));
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

function variantsOf({ service, rule, mesh }: ResolvedService): readonly VipVariant[] {
  const subsets = [undefined, ...(rule?.subsets ?? []).map(({ name }) => name)];
  return waypointPortsOf(service, mesh).flatMap((port) =>
    carriedKinds(port.protocol).flatMap((carries) =>
      subsets.map((subset) => ({ name: vipName(port.port, carries, subset, service.hostname), carries, port, subset })),
    ),
  );
}

function endpointsOf(
  { service, rule, mesh }: ResolvedService,
  port: number,
  subset: string | undefined,
  { model }: Sources,
  reader: CollectionReader,
): readonly EndpointModel[] {
  const near = waypointEndpoints(
    getEndpoints(model.endpoints, service, port, reader),
    service,
    mesh,
    model.inputs,
    reader,
  );
  return ofSubset(
    near,
    rule?.subsets.find(({ name }) => name === subset),
  );
}

/** Connections through a waypoint have an original destination. */
function discoveryOf(service: ServiceModel): Cluster_DiscoveryType {
  return discoveryType(service, true);
}

/** Whether the proxy resolves the names of a service's endpoints, so that its clusters contain them. */
function resolvesNamesOf(service: ServiceModel): boolean {
  const type = discoveryOf(service);
  return type === Cluster_DiscoveryType.STRICT_DNS || type === Cluster_DiscoveryType.LOGICAL_DNS;
}

function deriveVipClusters(
  graph: CollectionGraph,
  { served, services, suffix }: ServedRegistry,
  sources: Sources,
): Collection<ScopedEncodedResource> {
  const { model } = sources;
  return graph.derive(
    `cds-waypoint-services${suffix}`,
    served,
    (item, reader) => {
      const found = resolve(item.waypoint, reader.get(services, item.service), sources, reader);
      if (found === undefined) return [];
      const { mesh, service, rule } = found;
      const identities = identitiesOf(service, mesh, model.endpoints, model.inputs, reader);
      const resolvesNames = resolvesNamesOf(service);
      return variantsOf(found).flatMap(({ name, carries, port, subset }) => {
        const key = { name, port: port.port, subset };
        const scopes = resolvesNames ? assignments(found, key, true, sources, reader) : [withoutAssignment(found)];
        return scopes.flatMap(({ scope, assignment }) => {
          const cluster = vipCluster({ service, port, carries, subset, rule, mesh, identities, assignment });
          return cluster === undefined ? [] : [scoped(ClusterSchema, scope, cluster, name)];
        });
      });
    },
    sameScopedResource,
  );
}

function deriveVipEndpoints(
  graph: CollectionGraph,
  { served, services, suffix }: ServedRegistry,
  sources: Sources,
): Collection<ScopedEncodedResource> {
  return graph.derive(
    `eds-waypoint-services${suffix}`,
    served,
    (item, reader) => {
      const found = resolve(item.waypoint, reader.get(services, item.service), sources, reader);
      if (found === undefined || discoveryOf(found.service) !== Cluster_DiscoveryType.EDS) return [];
      return variantsOf(found).flatMap(({ name, port, subset }) =>
        encodeAssignments(found, { name, port: port.port, subset }, sources, reader),
      );
    },
    sameScopedResource,
  );
}

interface AssignmentKey {
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
  const client = waypointCrossing(found.service, port, isVipName(name), found.mesh, {
    inputs,
    networkGateways,
    resolvesNames,
    reader,
  });
  return localityGroups(endpointsOf(found, port, subset, sources, reader), {
    hbone: "always",
    healthKnown: !resolvesNames,
    client,
  });
}

/** The endpoints of one cluster, for a waypoint or for one of its pods. */
interface ScopedAssignment {
  readonly scope: string;
  readonly assignment: ClusterLoadAssignment | undefined;
}

/** For clusters that do not contain their endpoints, which are the same for all pods. */
function withoutAssignment({ waypoint }: ResolvedService): ScopedAssignment {
  return { scope: waypoint.key, assignment: undefined };
}

/**
 * One assignment for all pods of a waypoint, and one for each pod if its location matters. With `resolvesNames`, it is
 * for the cluster itself, because the proxy resolves the names of the endpoints.
 */
function assignments(
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

function encodeAssignments(
  found: ResolvedService,
  key: AssignmentKey,
  sources: Sources,
  reader: CollectionReader,
): (readonly [string, ScopedEncodedResource])[] {
  return assignments(found, key, false, sources, reader).map(({ scope, assignment }) =>
    scoped(ClusterLoadAssignmentSchema, scope, assignment, key.name),
  );
}

/**
 * Waypoints get clusters for all services of the mesh's providers (authorizers, tracers, logs), whether they use them
 * or not, as upstream.
 */
function deriveProviderReferences(
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
          { waypoint: waypoint.key, host: found.host, port: service.port, subset: undefined },
        ] as const,
      ];
    });
  });
}

function serviceOfProvider(provider: ExtensionProvider): ProviderService | undefined {
  return "settings" in provider && "service" in provider.settings ? provider.settings : undefined;
}

function deriveOutboundReferences(
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
    const ports = portsOf(service, routeContext(waypoint, mesh, sources, reader));
    const names = ports.flatMap(({ routes, targets }) => [...clustersOf(routes), ...targets.map(({ name }) => name)]);
    return [...new Set(names)].flatMap((name) => {
      const [direction, port, subset, host] = name.split("|");
      if (direction !== "outbound" || host === undefined) return [];
      return [
        [
          `${item.waypoint}|${name}`,
          { waypoint: item.waypoint, host, port: Number(port), subset: subset === "" ? undefined : subset },
        ] as const,
      ];
    });
  });
}

function deriveOutboundClusters(
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

function deriveOutboundEndpoints(
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
  { waypoint: key, host, port, subset }: OutboundReference,
  sources: Sources,
  reader: CollectionReader,
) {
  const waypoint = reader.get(sources.waypoints.all, key);
  const service =
    waypoint === undefined ? undefined : destinationService(host, waypoint.namespace, sources.model.registry, reader);
  const found = resolve(key, service, sources, reader);
  const own = service?.ports.find((candidate) => candidate.port === port);
  if (found === undefined || own === undefined) return undefined;
  return {
    ...found,
    port: own,
    name: subsetClusterName(port, subset, host),
    endpoints: endpointsOf(found, port, subset, sources, reader),
  };
}
