import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  ClusterLoadAssignmentSchema,
  ClusterSchema,
  Cluster_DiscoveryType,
  Cluster_LbPolicy,
  HealthStatus,
  RouteConfigurationSchema,
} from "../../../wire/envoy/index.ts";
import { decodeResource, valueAt } from "../../testing/decode-resource.ts";
import { grpcCluster, grpcEndpoints } from "../../translate/index.ts";
import { overAds } from "../../translate/envoy-any.ts";
import { encodeResource, messageBytes, type EncodedResource } from "../../translate/resource.ts";
import { perRouteSession } from "../../translate/routing/stateful-session.ts";
import { GrpcListenerView, GrpcRouteView } from "./grpc-view.ts";
import type { ResourceView } from "./resource-view.ts";

const host = "web.shop.svc.cluster.local";
const cluster = `outbound|80||${host}`;

/** A view of the given resources, and the calls that its followers get. */
function viewOf(...resources: EncodedResource[]): ResourceView & { readonly change: (name: string) => void } {
  const followers = new Set<(names: readonly string[]) => void>();
  return {
    get: (name) => resources.find((resource) => resource.name === name),
    all: () => resources,
    subscribe: (changed) => (followers.add(changed), { [Symbol.dispose]: () => void followers.delete(changed) }),
    change: (name) => followers.forEach((changed) => changed([name])),
  };
}

function listenersOf(clusters: ResourceView, listeners: ResourceView = viewOf()): GrpcListenerView {
  return new GrpcListenerView({ clusters, listeners, domain: "shop.svc.cluster.local", announcesTls: false });
}

const envoyCluster = encodeResource(
  ClusterSchema,
  cluster,
  create(ClusterSchema, {
    name: cluster,
    clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.EDS },
    edsClusterConfig: { serviceName: cluster },
    lbPolicy: Cluster_LbPolicy.LEAST_REQUEST,
    transportSocketMatches: [{ name: "tls" }],
  }),
);

test("a service's port is a listener by host and port, which leads only to the routes of that service", () => {
  const clusters = viewOf(envoyCluster);
  const listeners = listenersOf(clusters);
  assert.equal(listeners.get("other.shop.svc.cluster.local:80"), undefined);
  const name = `${host}:80`;
  assert.equal(listeners.get(name)?.name, name);
  const routed = (domain: string, to: string) => ({
    name: domain,
    domains: [domain, `${domain}:80`],
    routes: [
      {
        match: { pathSpecifier: { case: "prefix" as const, value: "/" } },
        action: { case: "route" as const, value: { clusterSpecifier: { case: "cluster" as const, value: to } } },
      },
    ],
  });
  const tables = viewOf(
    encodeResource(
      RouteConfigurationSchema,
      "80",
      create(RouteConfigurationSchema, {
        name: "80",
        virtualHosts: [routed("a.shop.svc.cluster.local", "outbound|80||a"), routed(host, cluster)],
      }),
    ),
  );
  const routes = new GrpcRouteView(tables);
  const found = decodeResource(RouteConfigurationSchema, routes.get(cluster));
  assert.equal(valueAt(found, "virtualHosts", 0, "routes", 0, "route", "cluster"), cluster);
  assert.equal(valueAt(found, "virtualHosts", 1), undefined);
});

test("a client may name a service of its own namespace in short, and is notified under that name", () => {
  const clusters = viewOf(envoyCluster);
  const listeners = listenersOf(clusters);
  for (const short of ["web:80", "web.shop:80", "web.shop.svc:80"]) assert.equal(listeners.get(short)?.name, short);
  assert.equal(listeners.get("web.other:80"), undefined);
  const changedNames: string[] = [];
  using _listening = listeners.subscribe((names) => changedNames.push(...names));
  listeners.forget("web.shop:80");
  clusters.change(cluster);
  assert.deepEqual(changedNames, [`${host}:80`, "web:80", "web.shop.svc:80"]);
});

test("a subscriber is notified only of the resources that it requested, under its own names", () => {
  const [clusters, tables] = [viewOf(envoyCluster), viewOf()];
  const [listeners, routes] = [listenersOf(clusters), new GrpcRouteView(tables)];
  const changedNames: string[] = [];
  using _listening = listeners.subscribe((names) => changedNames.push(...names));
  using _routing = routes.subscribe((names) => changedNames.push(...names));
  tables.change("80");
  assert.deepEqual(changedNames, [], "nobody has asked for a route");
  routes.get(cluster);
  tables.change("80");
  clusters.change(cluster);
  clusters.change("BlackHoleCluster");
  assert.deepEqual(changedNames, [cluster, `${host}:80`]);
});

test("a table is decoded once for any number of names, and an unwanted name is forgotten", () => {
  let reads = 0;
  const table = encodeResource(
    RouteConfigurationSchema,
    "80",
    create(RouteConfigurationSchema, { name: "80", virtualHosts: [{ name: host, domains: [host] }] }),
  );
  const counted: EncodedResource = {
    name: "80",
    version: table.version,
    delta: table.delta,
    get any() {
      reads += 1;
      return table.any;
    },
  };
  const tables = viewOf(counted);
  const routes = new GrpcRouteView(tables);
  const changedNames: string[] = [];
  using _following = routes.subscribe((names) => changedNames.push(...names));
  for (let index = 0; index < 1000; index += 1) routes.get(`outbound|80||host-${index}`);
  assert.ok(routes.get(cluster));
  assert.equal(reads, 1);
  for (let index = 0; index < 1000; index += 1) routes.forget(`outbound|80||host-${index}`);
  tables.change("80");
  assert.deepEqual(changedNames, [cluster]);
});

test("LEAST_REQUEST goes to gRPC clients only if a DestinationRule asks, with ROUND_ROBIN for those that do not know it", () => {
  const balanced = (lbPolicy: Cluster_LbPolicy, lbConfig: MessageInitShape<typeof ClusterSchema>["lbConfig"]) =>
    grpcCluster(
      encodeResource(
        ClusterSchema,
        cluster,
        create(ClusterSchema, {
          name: cluster,
          clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.EDS },
          edsClusterConfig: { serviceName: cluster, edsConfig: overAds },
          lbPolicy,
          ...(lbConfig === undefined ? {} : { lbConfig }),
        }),
      ),
    );
  const leastRequest = balanced(Cluster_LbPolicy.LEAST_REQUEST, { case: "leastRequestLbConfig", value: {} });
  assert.equal(decodeResource(ClusterSchema, leastRequest)["lbPolicy"], "LEAST_REQUEST");
  const bytes = Buffer.from(messageBytes(leastRequest)).toString("latin1");
  const types = [...bytes.matchAll(/load_balancing_policies\.(\w+)\.v3\.\w+/g)].map(([, type]) => type);
  assert.deepEqual(types, ["wrr_locality", "least_request", "round_robin"]);
  for (const other of [Cluster_LbPolicy.LEAST_REQUEST, Cluster_LbPolicy.RANDOM, Cluster_LbPolicy.MAGLEV]) {
    const shown = decodeResource(ClusterSchema, balanced(other, undefined));
    assert.deepEqual([shown["lbPolicy"], shown["loadBalancingPolicy"]], [undefined, undefined]);
  }
});

test("a service with one DNS name is a cluster that gRPC clients can resolve, without Envoy's other fields", () => {
  const at = (address: string) => ({
    hostIdentifier: {
      case: "endpoint" as const,
      value: {
        address: {
          address: {
            case: "socketAddress" as const,
            value: { address, portSpecifier: { case: "portValue" as const, value: 443 } },
          },
        },
      },
    },
    loadBalancingWeight: 1,
  });
  const named = (kind: Cluster_DiscoveryType, ...names: string[]) =>
    encodeResource(
      ClusterSchema,
      cluster,
      create(ClusterSchema, {
        name: cluster,
        clusterDiscoveryType: { case: "type", value: kind },
        loadAssignment: { clusterName: cluster, endpoints: [{ lbEndpoints: names.map(at) }] },
        lbPolicy: Cluster_LbPolicy.LEAST_REQUEST,
        dnsRefreshRate: { seconds: 60n },
      }),
    );
  for (const kind of [Cluster_DiscoveryType.STRICT_DNS, Cluster_DiscoveryType.LOGICAL_DNS])
    assert.deepEqual(decodeResource(ClusterSchema, grpcCluster(named(kind, "api.example.com"))), {
      name: cluster,
      type: "LOGICAL_DNS",
      loadAssignment: {
        clusterName: cluster,
        endpoints: [
          {
            lbEndpoints: [{ endpoint: { address: { socketAddress: { address: "api.example.com", portValue: 443 } } } }],
          },
        ],
      },
    });
  const several = named(Cluster_DiscoveryType.STRICT_DNS, "a.example.com", "b.example.com");
  assert.equal(grpcCluster(several), several);
});

test("a route's timeout limits the streams of gRPC clients, and no timeout sets no limit", () => {
  const route = (seconds: bigint) => ({
    match: { pathSpecifier: { case: "prefix" as const, value: "/" } },
    action: {
      case: "route" as const,
      value: { clusterSpecifier: { case: "cluster" as const, value: cluster }, timeout: { seconds } },
    },
  });
  const table = encodeResource(
    RouteConfigurationSchema,
    "80",
    create(RouteConfigurationSchema, {
      name: "80",
      virtualHosts: [{ name: host, domains: [host], routes: [route(3n), route(0n)] }],
    }),
  );
  const found = decodeResource(RouteConfigurationSchema, new GrpcRouteView(viewOf(table)).get(cluster));
  const limitOf = (index: number): unknown =>
    valueAt(found, "virtualHosts", 0, "routes", index, "route", "maxStreamDuration");
  assert.deepEqual(limitOf(0), { maxStreamDuration: "3s" });
  assert.equal(limitOf(1), undefined);
});

test("a limit of http2MaxRequests goes to gRPC clients, without Envoy's other limits", () => {
  const limited = (maxRequests: number) =>
    encodeResource(
      ClusterSchema,
      cluster,
      create(ClusterSchema, {
        name: cluster,
        clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.EDS },
        edsClusterConfig: { serviceName: cluster },
        circuitBreakers: { thresholds: [{ maxConnections: 7, maxRequests }] },
      }),
    );
  const limits = (maxRequests: number): unknown =>
    decodeResource(ClusterSchema, grpcCluster(limited(maxRequests)))["circuitBreakers"];
  assert.deepEqual(limits(100), { thresholds: [{ maxRequests: 100 }] });
  assert.equal(limits(4_294_967_295), undefined);
});

test("features that gRPC clients refuse are left out: Envoy's TLS, balancing by load, endpoints behind tunnels", () => {
  const shown = decodeResource(ClusterSchema, grpcCluster(envoyCluster));
  assert.deepEqual(
    [shown["lbPolicy"], shown["transportSocketMatches"], valueAt(shown, "edsClusterConfig", "serviceName")],
    [undefined, undefined, cluster],
  );
  const endpoint = (address: string) => ({
    hostIdentifier: {
      case: "endpoint" as const,
      value: {
        address: {
          address: {
            case: "socketAddress" as const,
            value: { address, portSpecifier: { case: "portValue" as const, value: 80 } },
          },
        },
      },
    },
  });
  const tunnel = {
    hostIdentifier: {
      case: "endpoint" as const,
      value: { address: { address: { case: "envoyInternalAddress" as const, value: {} } } },
    },
  };
  const assignment = encodeResource(
    ClusterLoadAssignmentSchema,
    cluster,
    create(ClusterLoadAssignmentSchema, {
      clusterName: cluster,
      endpoints: [{ lbEndpoints: [endpoint("10.0.0.1"), tunnel, endpoint("10.0.0.2")] }, { lbEndpoints: [tunnel] }],
    }),
  );
  const decoded = decodeResource(ClusterLoadAssignmentSchema, grpcEndpoints(assignment));
  assert.deepEqual(
    [
      valueAt(decoded, "endpoints", 0, "loadBalancingWeight"),
      valueAt(decoded, "endpoints", 0, "locality"),
      valueAt(decoded, "endpoints", 1),
    ],
    [2, {}, undefined],
  );
});

test("a service with sessions gives gRPC clients the filter, its configuration and the endpoints that drain", () => {
  const overrideHostStatus = { statuses: [HealthStatus.HEALTHY, HealthStatus.DRAINING] };
  const withSessions = encodeResource(
    ClusterSchema,
    cluster,
    create(ClusterSchema, {
      name: cluster,
      clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.EDS },
      edsClusterConfig: { serviceName: cluster },
      commonLbConfig: { overrideHostStatus },
    }),
  );
  const filters = (known: EncodedResource): readonly string[] => {
    const listener = listenersOf(viewOf(known)).get(`${host}:80`);
    const text = listener === undefined ? "" : Buffer.from(messageBytes(listener)).toString("latin1");
    return ["stateful_session.v3", "fault.v3"].filter((name) => text.includes(name));
  };
  assert.deepEqual(filters(withSessions), ["stateful_session.v3", "fault.v3"]);
  assert.deepEqual(filters(envoyCluster), ["fault.v3"]);
  assert.deepEqual(
    valueAt(decodeResource(ClusterSchema, grpcCluster(withSessions)), "commonLbConfig", "overrideHostStatus"),
    { statuses: ["HEALTHY", "DRAINING"] },
  );
  const session = perRouteSession({ kind: "cookie", name: "s", path: "/" });
  const table = encodeResource(
    RouteConfigurationSchema,
    "80",
    create(RouteConfigurationSchema, {
      name: "80",
      virtualHosts: [{ name: host, domains: [host], typedPerFilterConfig: { ...session } }],
    }),
  );
  const routes = decodeResource(RouteConfigurationSchema, new GrpcRouteView(viewOf(table)).get(cluster));
  assert.deepEqual(Object.keys(valueAt(routes, "virtualHosts", 0, "typedPerFilterConfig") as object), [
    "envoy.filters.http.stateful_session",
  ]);
});
