import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { AnySchema, type Any } from "@bufbuild/protobuf/wkt";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import {
  Cluster_DiscoveryType,
  Cluster_LbPolicy,
  ClusterLoadAssignmentSchema,
  ClusterSchema,
  HttpConnectionManagerSchema,
  ListenerSchema,
  RouteConfigurationSchema,
  RouterSchema,
  type VirtualHost,
} from "../../wire/envoy/index.ts";
import { overAds, packed } from "./envoy-any.ts";
import { encodeResource, type EncodedResource } from "./resource.ts";

/** A service's port, as clients of gRPC and clusters name it. */
export interface GrpcTarget {
  readonly host: string;
  readonly port: number;
}

/** Reads `host:port`, which a client asks for as `xds:///host:port`. */
export function grpcTargetOfListener(name: string): GrpcTarget | undefined {
  const found = /^([^|:]+):(\d+)$/.exec(name);
  return found === null ? undefined : { host: found[1] ?? "", port: Number(found[2]) };
}

/** Reads `outbound|port||host`; subsets have no table of their own. */
export function grpcTargetOfRoutes(name: string): GrpcTarget | undefined {
  const found = /^outbound\|(\d+)\|\|(.+)$/.exec(name);
  return found === null ? undefined : { host: found[2] ?? "", port: Number(found[1]) };
}

export function grpcRoutesName({ host, port }: GrpcTarget): string {
  return `outbound|${port}||${host}`;
}

/** What a client dials: no address, but where its routes are. */
export function grpcListener(name: string, target: GrpcTarget): EncodedResource {
  const manager = packed(HttpConnectionManagerSchema, {
    routeSpecifier: { case: "rds", value: { routeConfigName: grpcRoutesName(target), configSource: overAds } },
    httpFilters: [
      { name: "envoy.filters.http.router", configType: { case: "typedConfig", value: packed(RouterSchema, {}) } },
    ],
  });
  const listener = create(ListenerSchema, { name });
  listener.$unknown = [{ no: apiListenerField, wireType: WireType.LengthDelimited, data: apiListener(manager) }];
  return encodeResource(ListenerSchema, name, listener);
}

/** `Listener.api_listener`, which no proxy is sent: its one field is the connection manager. */
const apiListenerField = 19;

function apiListener(manager: Any): Uint8Array {
  const message = new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(toBinary(AnySchema, manager)).finish();
  return new BinaryWriter().bytes(message).finish();
}

/** The routes of one service out of the table of its port. Configuration of filters is left out: clients have none of these. */
export function grpcRoutes(target: GrpcTarget, table: EncodedResource): EncodedResource | undefined {
  let hosts = hostsOfTables.get(table);
  if (hosts === undefined) hostsOfTables.set(table, (hosts = hostsByDomain(table)));
  const found = hosts.get(target.host);
  if (found === undefined) return undefined;
  const name = grpcRoutesName(target);
  return encodeResource(
    RouteConfigurationSchema,
    name,
    create(RouteConfigurationSchema, { name, virtualHosts: [found] }),
  );
}

/** A client may ask for thousands of names: a table is read once for all of them. */
const hostsOfTables = new WeakMap<EncodedResource, ReadonlyMap<string, VirtualHost>>();

function hostsByDomain(table: EncodedResource): ReadonlyMap<string, VirtualHost> {
  const found = new Map<string, VirtualHost>();
  for (const host of fromBinary(RouteConfigurationSchema, valueOf(table)).virtualHosts) {
    const { domains } = host;
    const shown = withoutFilters(host);
    for (const domain of domains) if (!found.has(domain)) found.set(domain, shown);
  }
  return found;
}

function withoutFilters(host: VirtualHost): VirtualHost {
  for (const route of host.routes) {
    route.typedPerFilterConfig = {};
    if (route.action.case === "route" && route.action.value.clusterSpecifier.case === "weightedClusters")
      for (const cluster of route.action.value.clusterSpecifier.value.clusters) cluster.typedPerFilterConfig = {};
  }
  host.typedPerFilterConfig = {};
  // The table is of this service alone, whatever name the client has for it.
  host.domains = ["*"];
  return host;
}

const understoodBalancing: ReadonlySet<Cluster_LbPolicy> = new Set([
  Cluster_LbPolicy.ROUND_ROBIN,
  Cluster_LbPolicy.RING_HASH,
]);

/** A cluster by its endpoints alone: clients refuse most of what Envoys are told beside them. Others are what they were. */
export function grpcCluster(resource: EncodedResource): EncodedResource {
  const cluster = fromBinary(ClusterSchema, valueOf(resource));
  const { name, clusterDiscoveryType: discovery, edsClusterConfig, lbPolicy, outlierDetection } = cluster;
  if (discovery.case !== "type" || discovery.value !== Cluster_DiscoveryType.EDS || edsClusterConfig === undefined)
    return resource;
  const understood = understoodBalancing.has(lbPolicy);
  return encodeResource(
    ClusterSchema,
    name,
    create(ClusterSchema, {
      name,
      clusterDiscoveryType: discovery,
      edsClusterConfig,
      lbPolicy: understood ? lbPolicy : Cluster_LbPolicy.ROUND_ROBIN,
      lbConfig: understood && lbPolicy === Cluster_LbPolicy.RING_HASH ? cluster.lbConfig : { case: undefined },
      ...(outlierDetection === undefined ? {} : { outlierDetection }),
    }),
  );
}

/** Endpoints with addresses, in localities with weights: others are not looked at, or refused. */
export function grpcEndpoints(resource: EncodedResource): EncodedResource {
  const assignment = fromBinary(ClusterLoadAssignmentSchema, valueOf(resource));
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

function valueOf(resource: EncodedResource): Uint8Array {
  return fromBinary(AnySchema, resource.any).value;
}
