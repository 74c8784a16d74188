import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { AnySchema, type Any } from "@bufbuild/protobuf/wkt";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import {
  CircuitBreakersSchema,
  Cluster_DiscoveryType,
  ClusterLoadAssignmentSchema,
  ClusterSchema,
  HttpConnectionManagerSchema,
  HTTPFaultSchema,
  LbEndpointSchema,
  ListenerSchema,
  RouteActionSchema,
  RouteConfigurationSchema,
  RouterSchema,
  type Address,
  type Cluster,
  type LbEndpoint,
  type RouteAction,
  type VirtualHost,
} from "../../../wire/envoy/index.ts";
import { memos } from "../../model/memos.ts";
import { unlimited } from "../cluster.ts";
import { overAds, packed } from "../envoy-any.ts";
import { filterInit } from "../filter-init.ts";
import { encodeResource, messageBytes, type EncodedResource } from "../resource.ts";
import { emptySessionFilter, sessionFilterName } from "../routing/stateful-session.ts";
import { grpcBalancing } from "./grpc-balancing.ts";
import { grpcClientTls } from "./grpc-tls.ts";

export interface GrpcTarget {
  readonly host: string;
  readonly port: number;
}

/** Parses the name `host:port` of the listener that a client of `xds:///host:port` requests. */
export function grpcTargetOfListener(name: string): GrpcTarget | undefined {
  const found = /^([^|:]+):(\d+)$/.exec(name);
  return found === null ? undefined : { host: found[1] ?? "", port: Number(found[2]) };
}

/** Parses `outbound|port||host`. A name with a subset gives undefined, because subsets have no route configuration. */
export function grpcTargetOfRoutes(name: string): GrpcTarget | undefined {
  const found = /^outbound\|(\d+)\|\|(.+)$/.exec(name);
  return found === null ? undefined : { host: found[2] ?? "", port: Number(found[1]) };
}

export function grpcRoutesName({ host, port }: GrpcTarget): string {
  return `outbound|${port}||${host}`;
}

const faultFilter = "envoy.filters.http.fault";
/** Filters that gRPC clients have and whose settings a route may contain. */
const routeFilters = [faultFilter, sessionFilterName];

/**
 * The listener of a proxyless gRPC client. It has no address and only names the route configuration. `cluster` is the
 * cluster of the listener's service.
 */
export function grpcListener(name: string, target: GrpcTarget, cluster: EncodedResource): EncodedResource {
  const manager = packed(HttpConnectionManagerSchema, {
    routeSpecifier: { case: "rds", value: { routeConfigName: grpcRoutesName(target), configSource: overAds } },
    httpFilters: [
      // Libraries that do not know an optional filter continue without it.
      ...(keepsSessions(cluster) ? [{ ...emptySessionFilter(), isOptional: true }] : []),
      filterInit(faultFilter, HTTPFaultSchema, {}),
      filterInit("envoy.filters.http.router", RouterSchema, {}),
    ],
  });
  const listener = create(ListenerSchema, { name });
  listener.$unknown = [{ no: apiListenerField, wireType: WireType.LengthDelimited, data: apiListener(manager) }];
  return encodeResource(ListenerSchema, name, listener);
}

function keepsSessions(cluster: EncodedResource): boolean {
  return fromBinary(ClusterSchema, messageBytes(cluster)).commonLbConfig?.overrideHostStatus !== undefined;
}

/** The number of the field `Listener.api_listener`, which only gRPC clients receive. */
const apiListenerField = 19;

function apiListener(manager: Any): Uint8Array {
  const message = new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(toBinary(AnySchema, manager)).finish();
  return new BinaryWriter().bytes(message).finish();
}

/**
 * Extracts the routes of one service from the route configuration of its port. Of the routes' settings for filters,
 * only those for {@link routeFilters} stay.
 */
export function grpcRoutes(target: GrpcTarget, table: EncodedResource): EncodedResource | undefined {
  const found = hostsOfTables.of(table, hostsByDomain).get(target.host);
  if (found === undefined) return undefined;
  const name = grpcRoutesName(target);
  return encodeResource(
    RouteConfigurationSchema,
    name,
    create(RouteConfigurationSchema, { name, virtualHosts: [found] }),
  );
}

/** The hosts of parsed route tables. They are kept, because a client may request thousands of names from one table. */
const hostsOfTables = memos.memo<EncodedResource, ReadonlyMap<string, VirtualHost>>("hosts-of-route-tables");

function hostsByDomain(table: EncodedResource): ReadonlyMap<string, VirtualHost> {
  const found = new Map<string, VirtualHost>();
  for (const host of fromBinary(RouteConfigurationSchema, messageBytes(table)).virtualHosts) {
    const { domains } = host;
    const shown = asGrpcReads(host);
    for (const domain of domains) if (!found.has(domain)) found.set(domain, shown);
  }
  return found;
}

function asGrpcReads(host: VirtualHost): VirtualHost {
  for (const route of host.routes) {
    keepFilters(route);
    if (route.action.case !== "route") continue;
    const { value: action } = route.action;
    if (action.clusterSpecifier.case === "weightedClusters")
      for (const cluster of action.clusterSpecifier.value.clusters) keepFilters(cluster);
    limitStreams(action);
  }
  keepFilters(host);
  // This table serves only one service, whatever name the request has.
  host.domains = ["*"];
  return host;
}

/**
 * Moves a route's timeout to the field from which gRPC clients read it. For a timeout of zero, Envoy has no limit, and
 * neither have gRPC clients without the field.
 */
function limitStreams(action: RouteAction): void {
  const { timeout: maxStreamDuration } = action;
  if (maxStreamDuration === undefined || (maxStreamDuration.seconds === 0n && maxStreamDuration.nanos === 0)) return;
  const limited = create(RouteActionSchema, { maxStreamDuration: { maxStreamDuration } }).maxStreamDuration;
  if (limited !== undefined) action.maxStreamDuration = limited;
}

function keepFilters(part: Pick<VirtualHost, "typedPerFilterConfig">): void {
  part.typedPerFilterConfig = Object.fromEntries(
    Object.entries(part.typedPerFilterConfig).filter(([name]) => routeFilters.includes(name)),
  );
}

/**
 * Reduces a cluster to the fields that gRPC clients accept; they reject most others of Envoy's message. The cluster has
 * mutual TLS only if a DestinationRule asks for it, because gRPC cannot choose it for each endpoint. A cluster that
 * gRPC cannot express stays unchanged.
 */
export function grpcCluster(resource: EncodedResource): EncodedResource {
  const cluster = fromBinary(ClusterSchema, messageBytes(resource));
  const { name, outlierDetection, commonLbConfig: { overrideHostStatus } = {} } = cluster;
  const discovery = grpcDiscovery(cluster);
  if (discovery === undefined) return resource;
  const transportSocket = grpcClientTls(cluster.transportSocket);
  const maxRequests = cluster.circuitBreakers?.thresholds[0]?.maxRequests;
  return encodeResource(
    ClusterSchema,
    name,
    create(ClusterSchema, {
      name,
      ...discovery,
      ...grpcBalancing(cluster),
      ...(outlierDetection === undefined ? {} : { outlierDetection }),
      ...(transportSocket === undefined ? {} : { transportSocket }),
      ...(overrideHostStatus === undefined ? {} : { commonLbConfig: { overrideHostStatus } }),
      // gRPC clients support no other limit.
      ...(maxRequests === undefined || maxRequests === unlimited
        ? {}
        : { circuitBreakers: create(CircuitBreakersSchema, { thresholds: [{ maxRequests }] }) }),
    }),
  );
}

type Discovery = Partial<Pick<Cluster, "clusterDiscoveryType" | "edsClusterConfig" | "loadAssignment">>;

/**
 * Where a client finds the endpoints: by EDS, or by the name of one host, for which Envoy has two kinds of clusters.
 */
function grpcDiscovery(cluster: Cluster): Discovery | undefined {
  const { clusterDiscoveryType, edsClusterConfig, loadAssignment } = cluster;
  switch (clusterDiscoveryType.case === "type" ? clusterDiscoveryType.value : undefined) {
    case Cluster_DiscoveryType.EDS:
      return edsClusterConfig === undefined ? undefined : { clusterDiscoveryType, edsClusterConfig };
    case Cluster_DiscoveryType.STRICT_DNS:
    case Cluster_DiscoveryType.LOGICAL_DNS: {
      const names = loadAssignment?.endpoints.flatMap(({ lbEndpoints }) => lbEndpoints) ?? [];
      const [{ hostIdentifier: host } = { hostIdentifier: { case: undefined } }] = names;
      if (names.length !== 1 || host.case !== "endpoint") return undefined;
      const { address } = host.value;
      return {
        clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.LOGICAL_DNS },
        loadAssignment: create(ClusterLoadAssignmentSchema, {
          clusterName: cluster.name,
          endpoints: [{ lbEndpoints: [endpointAt(address)] }],
        }),
      };
    }
    default:
      return undefined;
  }
}

function endpointAt(address: Address | undefined): LbEndpoint {
  return create(LbEndpointSchema, {
    hostIdentifier: { case: "endpoint", value: address === undefined ? {} : { address } },
  });
}

/**
 * Keeps only endpoints with IP addresses and gives each locality a weight, because gRPC clients reject other endpoints
 * and ignore localities without weights.
 */
export function grpcEndpoints(resource: EncodedResource): EncodedResource {
  const assignment = fromBinary(ClusterLoadAssignmentSchema, messageBytes(resource));
  for (const locality of assignment.endpoints) {
    locality.lbEndpoints = locality.lbEndpoints.filter(
      ({ hostIdentifier: host }) => host.case === "endpoint" && host.value.address?.address.case === "socketAddress",
    );
    locality.locality ??= { $typeName: "envoy.config.core.v3.Locality", region: "", zone: "", subZone: "" };
    locality.loadBalancingWeight ??= locality.lbEndpoints.reduce(
      (sum, endpoint) => sum + (endpoint.loadBalancingWeight ?? 1),
      0,
    );
  }
  assignment.endpoints = assignment.endpoints.filter(({ lbEndpoints }) => lbEndpoints.length > 0);
  return encodeResource(ClusterLoadAssignmentSchema, resource.name, assignment);
}
