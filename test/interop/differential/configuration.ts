// The listeners that both proxies get: our control plane's own translation of policies and mesh settings, as JSON of
// Envoy's API.
import { create, toJson, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import type { KubernetesObject } from "../../../src/api/index.ts";
import { config, createModelFixture, pod, testMesh } from "../../../src/controlplane/testing/model-fixture.ts";
import { meshKey, type MeshSettings } from "../../../src/controlplane/model/facts.ts";
import type { FilterInit } from "../../../src/controlplane/translate/filter-init.ts";
import {
  httpConnectionManager,
  type HttpDirection,
} from "../../../src/controlplane/translate/http-connection-manager.ts";
import { SecurityPolicies } from "../../../src/controlplane/translate/security/security-filters.ts";
import { envoyRegistry, HttpConnectionManagerSchema } from "../../../src/wire/envoy/index.ts";

/**
 * One listener of each proxy with an upstream of its own, so that the upstream receives only the case that the lane is
 * running.
 */
export interface LaneConfig {
  readonly name: string;
  readonly direction: HttpDirection;
  /** Policies for the workload `shop/web`. */
  readonly objects?: readonly KubernetesObject[];
  readonly mesh?: Partial<MeshSettings>;
  /** A route without an action leads to the lane's upstream. */
  readonly routes?: readonly JsonObject[];
  /** Replaces the virtual host for all hosts. */
  readonly virtualHosts?: readonly JsonObject[];
  /** Filters before the policies. The cluster `LANE` in them is the lane's own. */
  readonly firstFilters?: readonly JsonObject[];
  /** Filters before the router. */
  readonly filters?: readonly JsonObject[];
}

export interface LanePorts {
  readonly listener: number;
  readonly upstream: number;
}

export function policy(
  kind: "AuthorizationPolicy" | "RequestAuthentication",
  name: string,
  spec: object,
): KubernetesObject {
  return config(kind, `shop/${name}`, spec);
}

/**
 * The filters that a stock Envoy has too. Those of Istio's own build decide nothing about requests, and are left out.
 */
const ofStockEnvoy = /^envoy\.filters\.http\.(rbac|jwt_authn|fault|cors|router)$/;

function securityOf(objects: readonly KubernetesObject[], mesh: MeshSettings): readonly FilterInit[] {
  const fixture = createModelFixture();
  const policies = new SecurityPolicies(fixture.inputs);
  const found = fixture.graph.derive("filters", fixture.inputs.pods, (facts, reader) => [
    ["web", policies.filtersFor(facts, mesh, reader)],
  ]);
  fixture.inputs.mesh.set(meshKey, mesh);
  fixture.apply(pod("shop/web", "10.0.0.1", { labels: { app: "web" } }), ...objects);
  return found.get("web")?.http ?? [];
}

/** All routes lead to the lane's upstream. The tables differ in what they match. */
function routesOf(lane: LaneConfig): JsonValue {
  const route = { cluster: lane.name, timeout: "0s" };
  const forward: JsonObject = { match: { prefix: "/" }, route };
  const own = (lane.routes ?? []).map((one) => ("directResponse" in one || "route" in one ? one : { ...one, route }));
  return {
    name: lane.name,
    validateClusters: false,
    virtualHosts: [...named(lane.virtualHosts ?? [{ name: "any", domains: ["*"], routes: [...own, forward] }], lane)],
  };
}

function named(parts: readonly JsonObject[] = [], lane: LaneConfig): readonly JsonObject[] {
  return JSON.parse(JSON.stringify(parts).replaceAll('"LANE"', JSON.stringify(lane.name))) as JsonObject[];
}

export function listenerOf(lane: LaneConfig, ports: LanePorts): JsonObject {
  const mesh = { ...testMesh, enableTracing: false, ...lane.mesh };
  const message = create(
    HttpConnectionManagerSchema,
    httpConnectionManager({
      direction: lane.direction,
      statPrefix: lane.name,
      mesh,
      routes: { inline: {} },
      security: securityOf(lane.objects ?? [], mesh),
      telemetry: { accessLogs: [], tracing: undefined, stats: () => [], tcpStats: () => [] } as never,
    }),
  );
  const registry = envoyRegistry();
  const manager = toJson(HttpConnectionManagerSchema, message, { registry }) as JsonObject;
  const filters = (manager["httpFilters"] as JsonObject[]).filter(
    ({ name }) => typeof name === "string" && ofStockEnvoy.test(name),
  );
  return {
    name: lane.name,
    address: { socketAddress: { address: "0.0.0.0", portValue: ports.listener } },
    filterChains: [
      {
        filters: [
          {
            name: "envoy.filters.network.http_connection_manager",
            typedConfig: {
              "@type":
                "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
              ...manager,
              httpFilters: [
                ...named(lane.firstFilters, lane),
                ...filters.slice(0, -1),
                ...named(lane.filters, lane),
                ...filters.slice(-1),
              ],
              routeConfig: routesOf(lane),
            },
          },
        ],
      },
    ],
  };
}

export function clusterOf(lane: LaneConfig, ports: LanePorts): JsonObject {
  const address = { socketAddress: { address: "127.0.0.1", portValue: ports.upstream } };
  return {
    name: lane.name,
    type: "STATIC",
    connectTimeout: "2s",
    loadAssignment: { clusterName: lane.name, endpoints: [{ lbEndpoints: [{ endpoint: { address } }] }] },
  };
}
