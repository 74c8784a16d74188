import { create } from "@bufbuild/protobuf";
import type { MeshModel } from "../mesh-model.ts";
import { istioLabels } from "../../../api/istio/index.ts";
import type { Collection, CollectionGraph, CollectionReader } from "../../../kube/index.ts";
import {
  ClusterLoadAssignmentSchema,
  ClusterSchema,
  HealthStatus,
  LbEndpointSchema,
  ListenerSchema,
  LocalityLbEndpointsSchema,
  TcpProxySchema,
  TrafficDirection,
  type Cluster,
  type ClusterLoadAssignment,
  type Listener,
  type LocalityLbEndpoints,
} from "../../../wire/envoy/index.ts";
import { formatAuthority, hbonePort } from "../../../wire/hbone/index.ts";
import { anyAddress } from "../../model/ip-address.ts";
import { isGlobalService } from "../../model/ambient/ambient-networks.ts";
import { byCreation, compareText, factsKey, meshKey, type MeshSettings } from "../../model/facts.ts";
import { isEastWestClass } from "../../model/gateway-class.ts";
import { localityText, nowhere, type EndpointModel } from "../../model/service/service-endpoint-model.ts";
import { getEndpoints } from "../../model/service/service-endpoints.ts";
import { serviceKey, type ServiceModel, type ServicePortModel } from "../../model/service/service-model.ts";
import { isTrueText } from "../../model/true-text.ts";
import { WaypointBindings, type WaypointShare } from "../../model/ambient/waypoint-bindings.ts";
import { waypointPods } from "../../model/ambient/waypoint.ts";
import { weightedPods } from "../../model/ambient/waypoint-canary.ts";
import { blackHoleCluster, blackHoleName } from "../cluster.ts";
import { tcpAddress } from "../envoy-address.ts";
import { filterInit } from "../filter-init.ts";
import type { FilterChainInit } from "../inbound/inbound-chain.ts";
import {
  connectSourceState,
  connectTerminateListener,
  internalListenerCluster,
  mainInternalName,
} from "../inbound/inbound-hbone.ts";
import { originalDestination } from "../listener-filters.ts";
import { encodeResource, sameScopedResource, scopedEntry, type ScopedEncodedResource } from "../resource.ts";
import { vipCluster } from "./waypoint-cluster.ts";
import { addressRanges, byNameOr, byPort, byState, toChain, toMatcher, type OnMatchInit } from "./waypoint-listener.ts";
import { vipName } from "./waypoint-name.ts";
import { nearEndpoints } from "./waypoint-network.ts";

/** The resources of Gateways of class `istio-east-west`, by the Gateway's key. */
export interface EastWestResources {
  readonly listeners: Collection<ScopedEncodedResource>;
  readonly clusters: readonly Collection<ScopedEncodedResource>[];
  readonly endpoints: Collection<ScopedEncodedResource>;
}

/** A service that clients in other networks reach through one gateway. */
interface ReachedService {
  readonly gateway: string;
  readonly service: string;
}

/** How the gateway reaches one port of such a service: its pods directly, or its waypoint. */
interface Way {
  readonly name: string;
  readonly port: ServicePortModel;
  readonly waypoints: readonly WaypointShare[] | undefined;
}

/** How many units of an endpoint's weight are one percent. With 100, a hundred pods can share one percent. */
const weightUnits = 100;

/**
 * Derives the resources of gateways that lead into their own network. A tunnel for a global service goes to a pod of
 * the service or of its waypoint, which terminates the inner tunnel; the gateway does not decrypt it. Unlike in
 * upstream, endpoints are addressed directly, without an internal listener.
 */
export function deriveEastWestResources(graph: CollectionGraph, model: MeshModel): EastWestResources {
  const bindings = new WaypointBindings(model.inputs, model.waypoints);
  const gateways = deriveEastWestGateways(graph, model);
  const reached = deriveReachedServices(graph, model, gateways);
  const waysOf: WaysOf = (service, reader) => {
    const shares = bindings.sharesOfService(service, reader);
    const waypoints = shares[0]?.waypoint.published === true ? shares : undefined;
    return service.ports.flatMap((port) => [
      { name: wayName(port, service), port, waypoints: undefined },
      ...(waypoints === undefined ? [] : [{ name: wayName(port, service, true), port, waypoints }]),
    ]);
  };
  const clusters = deriveReachedClusters(graph, model, reached, waysOf);
  const endpoints = deriveReachedEndpoints(graph, model, reached, waysOf);
  const listeners = deriveListeners(graph, model, { gateways, reached, waysOf });
  const fixed = deriveFixedClusters(graph, model, gateways);
  return { listeners, clusters: [fixed, clusters], endpoints };
}

interface EastWestGateway {
  readonly key: string;
}

type WaysOf = (service: ServiceModel, reader: CollectionReader) => readonly Way[];

function deriveEastWestGateways(graph: CollectionGraph, { inputs }: MeshModel): Collection<EastWestGateway> {
  return graph.derive("east-west-gateways", inputs.gateways, (gateway, reader) => {
    const ends = gateway.spec.listeners.some(
      ({ protocol, port, tls }) => protocol === "HBONE" && port === hbonePort && tls?.mode === "Terminate",
    );
    return ends && isEastWestClass(gateway.spec.gatewayClassName, inputs, reader)
      ? [[factsKey(gateway), { key: factsKey(gateway) }] as const]
      : [];
  });
}

/** A pair for every global service and every gateway. */
function deriveReachedServices(
  graph: CollectionGraph,
  { inputs, registry }: MeshModel,
  gateways: Collection<EastWestGateway>,
): Collection<ReachedService> {
  return graph.derive(
    "east-west-services",
    registry.kubernetes,
    (service, reader): Iterable<readonly [string, ReachedService]> => {
      const mesh = reader.get(inputs.mesh, meshKey);
      if (
        mesh?.ambientMultiNetwork !== true ||
        service.resolution !== "endpoints" ||
        !isGlobalService(service, reader.get(inputs.namespaces, service.namespace)?.labels, mesh)
      )
        return [];
      return reader
        .all(gateways)
        .map(({ key }) => [`${key}|${serviceKey(service)}`, { gateway: key, service: serviceKey(service) }] as const);
    },
  );
}

function deriveReachedClusters(
  graph: CollectionGraph,
  { inputs, registry }: MeshModel,
  reached: Collection<ReachedService>,
  waysOf: WaysOf,
): Collection<ScopedEncodedResource> {
  return graph.derive(
    "cds-east-west-services",
    reached,
    (item, reader) => {
      const mesh = reader.get(inputs.mesh, meshKey);
      const service = reader.get(registry.kubernetes, item.service);
      if (mesh === undefined || service === undefined) return [];
      return waysOf(service, reader).flatMap(({ name, port }) => {
        const cluster = plainCluster(name, service, port, mesh);
        return cluster === undefined ? [] : [scopedEntry(item.gateway, encodeResource(ClusterSchema, name, cluster))];
      });
    },
    sameScopedResource,
  );
}

function deriveReachedEndpoints(
  graph: CollectionGraph,
  model: MeshModel,
  reached: Collection<ReachedService>,
  waysOf: WaysOf,
): Collection<ScopedEncodedResource> {
  const { inputs, registry } = model;
  return graph.derive(
    "eds-east-west-services",
    reached,
    (item, reader) => {
      const mesh = reader.get(inputs.mesh, meshKey);
      const service = reader.get(registry.kubernetes, item.service);
      if (mesh === undefined || service === undefined) return [];
      return waysOf(service, reader).map(({ name, port, waypoints }) => {
        const assignment =
          waypoints === undefined
            ? toPods(name, { service, port: port.port }, mesh, model, reader)
            : toWaypoints(name, waypoints, model, reader);
        return scopedEntry(item.gateway, encodeResource(ClusterLoadAssignmentSchema, name, assignment));
      });
    },
    sameScopedResource,
  );
}

function deriveListeners(
  graph: CollectionGraph,
  model: MeshModel,
  {
    gateways,
    reached,
    waysOf,
  }: {
    readonly gateways: Collection<EastWestGateway>;
    readonly reached: Collection<ReachedService>;
    readonly waysOf: WaysOf;
  },
): Collection<ScopedEncodedResource> {
  const { inputs, registry } = model;
  const byGateway = reached.index("gateway", ({ gateway }) => [gateway]);
  return graph.derive(
    "lds-east-west",
    gateways,
    ({ key }, reader) => {
      const mesh = reader.get(inputs.mesh, meshKey);
      if (mesh === undefined) return [];
      const services = reader
        .lookup(byGateway, key)
        .flatMap((item) => reader.get(registry.kubernetes, item.service) ?? [])
        .sort(byCreation);
      const routed = services.map((service) => ({
        service,
        ways: waysOf(service, reader),
        ingress: sendsIngressToWaypoint(service, model, reader),
      }));
      return [connectTerminateListener(mesh, anyAddress, [], true), mainListener(routed)].map((listener) =>
        scopedEntry(key, encodeResource(ListenerSchema, listener.name, listener)),
      );
    },
    sameScopedResource,
  );
}

/**
 * The clusters of a gateway that belong to no service: the one to its own internal listener, and the one for refused
 * traffic.
 */
function deriveFixedClusters(
  graph: CollectionGraph,
  { inputs }: MeshModel,
  gateways: Collection<EastWestGateway>,
): Collection<ScopedEncodedResource> {
  return graph.derive(
    "cds-east-west-fixed",
    gateways,
    ({ key }, reader) => {
      const mesh = reader.get(inputs.mesh, meshKey);
      const found = mesh === undefined ? [] : [internalListenerCluster(mainInternalName), blackHoleCluster(mesh)];
      return found.map((cluster) => scopedEntry(key, encodeResource(ClusterSchema, cluster.name, cluster)));
    },
    sameScopedResource,
  );
}

function wayName({ port }: ServicePortModel, { hostname }: ServiceModel, throughWaypoint = false): string {
  return vipName(port, "tcp", throughWaypoint ? "waypoint" : undefined, hostname);
}

interface RoutedService {
  readonly service: ServiceModel;
  readonly ways: readonly Way[];
  /** Whether traffic from ingress gateways also goes through the waypoint. */
  readonly ingress: boolean;
}

/**
 * The listener for the tunnels of clients. It matches the service's name before the address, because several networks
 * may use the same address.
 */
function mainListener(routed: readonly RoutedService[]): Listener {
  const chains = routed.flatMap(({ ways }) => ways.map(({ name }) => passChain(name, name)));
  const thenOf = ({ service, ways, ingress }: RoutedService, port: ServicePortModel): OnMatchInit => {
    const straight = wayName(port, service);
    const guarded = wayName(port, service, true);
    if (!ways.some(({ name }) => name === guarded)) return toChain(straight);
    // Traffic from a waypoint bypasses the waypoint here, because the waypoint in the client's network has applied the
    // policies. So does traffic from an ingress gateway, unless configured otherwise.
    const bySource = byState("source", connectSourceState, {
      waypoint: toChain(straight),
      gateway: toChain(ingress ? guarded : straight),
    });
    return toMatcher({ ...bySource, onNoMatch: toChain(guarded) });
  };
  const addressed = routed.filter(({ service }) => service.addresses.length > 0);
  const names = addressed.flatMap((entry) =>
    entry.service.ports.map(
      (port) => [formatAuthority(entry.service.hostname, port.port), thenOf(entry, port)] as const,
    ),
  );
  const ranges = addressed.map((entry) => ({
    addresses: entry.service.addresses,
    onMatch: toMatcher(byPort(entry.service.ports.map((port) => [port.port, thenOf(entry, port)] as const))),
  }));
  return create(ListenerSchema, {
    name: mainInternalName,
    listenerSpecifier: { case: "internalListener", value: {} },
    trafficDirection: TrafficDirection.INBOUND,
    listenerFilters: [originalDestination()],
    // A listener needs at least one chain.
    filterChains: chains.length === 0 ? [passChain("blackhole", blackHoleName)] : chains,
    filterChainMatcher: byNameOr(names, addressRanges(ranges)),
  });
}

/** The chain that forwards the inner tunnel without parsing it. */
function passChain(name: string, cluster: string): FilterChainInit {
  return {
    name,
    filters: [
      filterInit("envoy.filters.network.tcp_proxy", TcpProxySchema, {
        statPrefix: name,
        clusterSpecifier: { case: "cluster", value: cluster },
      }),
    ],
  };
}

/**
 * The cluster of a service at a gateway between networks. DestinationRules do not apply to it, because the inner tunnel
 * belongs to the client.
 */
function plainCluster(
  name: string,
  service: ServiceModel,
  port: ServicePortModel,
  mesh: MeshSettings,
): Cluster | undefined {
  const cluster = vipCluster({
    name,
    service,
    port: { ...port, protocol: "tcp" },
    carries: "tcp",
    subset: undefined,
    rule: undefined,
    mesh,
    identities: [],
    assignment: undefined,
  });
  if (cluster?.edsClusterConfig === undefined) return undefined;
  delete cluster.transportSocket;
  return cluster;
}

interface TunnelEnd {
  readonly address: string;
  readonly weight: number;
}

/** The endpoints of a service that terminate HBONE. Others cannot end the inner tunnel. */
function toPods(
  name: string,
  { service, port }: { readonly service: ServiceModel; readonly port: number },
  mesh: MeshSettings,
  model: MeshModel,
  reader: CollectionReader,
): ClusterLoadAssignment {
  const near = nearEndpoints(
    getEndpoints(model.endpoints, service, port, reader),
    service,
    mesh,
    model.inputs,
    reader,
  ).filter(({ hbone }) => hbone);
  const byLocality = Map.groupBy(near, (endpoint) => localityText(endpoint.locality));
  return create(ClusterLoadAssignmentSchema, {
    clusterName: name,
    endpoints: [...byLocality.values()].map((members) => localityOf(members, members[0]?.locality)),
  });
}

function toWaypoints(
  name: string,
  shares: readonly WaypointShare[],
  { inputs }: MeshModel,
  reader: CollectionReader,
): ClusterLoadAssignment {
  const pods = weightedPods(shares, waypointPods(inputs), reader);
  const alike = pods.every(({ weight }) => weight === pods[0]?.weight);
  const ends = pods
    .flatMap(({ pod, weight }) =>
      pod.addresses
        .slice(0, 1)
        .map((address): TunnelEnd => ({ address, weight: alike ? 1 : Math.max(1, Math.round(weight * weightUnits)) })),
    )
    .sort((left, right) => compareText(left.address, right.address));
  return create(ClusterLoadAssignmentSchema, {
    clusterName: name,
    endpoints: ends.length === 0 ? [] : [localityOf(ends)],
  });
}

function localityOf(
  ends: readonly TunnelEnd[],
  { region, zone, subzone }: EndpointModel["locality"] = nowhere,
): LocalityLbEndpoints {
  const lbEndpoints = ends.map(({ address, weight }) =>
    create(LbEndpointSchema, {
      hostIdentifier: { case: "endpoint", value: { address: { address: tcpAddress(address, hbonePort) } } },
      healthStatus: HealthStatus.HEALTHY,
      loadBalancingWeight: weight,
    }),
  );
  const isSaid = region !== "" || zone !== "" || subzone !== "";
  return create(LocalityLbEndpointsSchema, {
    ...(isSaid ? { locality: { region, zone, subZone: subzone } } : {}),
    lbEndpoints,
    loadBalancingWeight: ends.reduce((sum, { weight }) => sum + weight, 0),
  });
}

function sendsIngressToWaypoint(service: ServiceModel, { inputs }: MeshModel, reader: CollectionReader): boolean {
  const labelValue =
    service.labels[istioLabels.ingressUseWaypoint] ??
    reader.get(inputs.namespaces, service.namespace)?.labels[istioLabels.ingressUseWaypoint];
  return labelValue !== undefined && isTrueText(labelValue);
}
