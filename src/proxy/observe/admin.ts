import { create, toJson, type DescMessage, type JsonValue, type MessageShape } from "@bufbuild/protobuf";
import { AnySchema, StringValueSchema, anyPack } from "@bufbuild/protobuf/wkt";
import { jsonRoute, type EndpointRoute } from "../../dataplane/index.ts";
import { ClusterLoadAssignmentSchema, ClusterSchema, envoyRegistry, ListenerSchema, RouteConfigurationSchema } from "../../wire/envoy/index.ts";
import type { ListenerSet } from "../listener-set.ts";
import type { AppliedResource, ProxyConfig } from "../proxy-config.ts";
import type { ProxySettings } from "../proxy-settings.ts";
import type { ProxyStats } from "./proxy-stats.ts";

export interface AdminSources {
  readonly settings: ProxySettings;
  readonly config: ProxyConfig;
  readonly listeners: ListenerSet;
  readonly stats: ProxyStats;
  readonly startedMs: number;
  readonly nowMs: () => number;
  readonly state: () => "LIVE" | "DRAINING" | "INITIALIZING";
  readonly drainListeners: () => void;
  readonly quit: () => void;
}

/** Does something when asked by POST. */
export function onPost(act: () => void): EndpointRoute {
  return (request) => {
    if (request.method !== "POST") return { status: 405, body: "Method Not Allowed\n" };
    act();
    return { status: 200, body: "OK\n" };
  };
}

/** The admin paths that tools of Envoy and Istio ask, in Envoy's forms. */
export function adminRoutes(sources: AdminSources): Record<string, EndpointRoute> {
  return {
    "/config_dump": (_request, url) => ({
      status: 200,
      contentType: "application/json",
      body: `${JSON.stringify({ configs: configDump(sources, url.searchParams.has("include_eds")) }, undefined, 1)}\n`,
    }),
    "/clusters": (_request, url) => clustersAnswer(sources, url.searchParams.get("format") === "json"),
    "/listeners": (_request, url) => listenersAnswer(sources, url.searchParams.get("format") === "json"),
    "/server_info": jsonRoute(() => serverInfo(sources)),
    "/ready": () => (sources.state() === "LIVE" ? { status: 200, body: "LIVE\n" } : { status: 503, body: `${sources.state()}\n` }),
    "/stats": (_request, url) => statsAnswer(sources, url),
    "/drain_listeners": onPost(sources.drainListeners),
    "/quitquitquit": onPost(sources.quit),
  };
}

function serverInfo({ settings, startedMs, nowMs, state }: AdminSources): unknown {
  const uptime = `${Math.floor((nowMs() - startedMs) / 1000)}s`;
  return {
    version: `serin/${settings.version}/Clean/RELEASE/Node`,
    state: state(),
    uptime_current_epoch: uptime,
    uptime_all_epochs: uptime,
    node: { id: nodeId(settings), cluster: `${settings.workloadName}.${settings.podNamespace}`, metadata: settings.metadata },
  };
}

/** `<type>~<address>~<pod>.<namespace>~<domain>`. */
export function nodeId(settings: ProxySettings): string {
  return `${settings.role}~${settings.instanceIp}~${settings.podName}.${settings.podNamespace}~${settings.domain}`;
}

function configDump(sources: AdminSources, withEndpoints: boolean): unknown[] {
  const { config, settings } = sources;
  const list = <Schema extends DescMessage>(schema: Schema, resources: ReadonlyMap<string, AppliedResource<Schema>>, typeUrl: string) =>
    [...resources].map(([name, resource]) => ({
      name,
      resource: { "@type": typeUrl, ...(resourceJson(schema, resource.message) as object) },
      version_info: resource.version,
      last_updated: new Date(resource.updatedMs).toISOString(),
    }));
  const v3 = "type.googleapis.com/envoy.admin.v3";
  const type = "type.googleapis.com/envoy.config";
  const dump: unknown[] = [
    { "@type": `${v3}.BootstrapConfigDump`, bootstrap: { node: { id: nodeId(settings), metadata: settings.metadata } } },
    {
      "@type": `${v3}.ClustersConfigDump`,
      dynamic_active_clusters: list(ClusterSchema, config.clusters, `${type}.cluster.v3.Cluster`).map(({ resource, version_info, last_updated }) => ({
        version_info,
        cluster: resource,
        last_updated,
      })),
    },
    {
      "@type": `${v3}.ListenersConfigDump`,
      dynamic_listeners: list(ListenerSchema, config.listeners, `${type}.listener.v3.Listener`).map(({ name, resource, version_info, last_updated }) => ({
        name,
        active_state: { version_info, listener: resource, last_updated },
      })),
    },
    {
      "@type": `${v3}.RoutesConfigDump`,
      dynamic_route_configs: list(RouteConfigurationSchema, config.routes, `${type}.route.v3.RouteConfiguration`).map(({ resource, version_info, last_updated }) => ({
        version_info,
        route_config: resource,
        last_updated,
      })),
    },
  ];
  if (withEndpoints) {
    dump.push({
      "@type": `${v3}.EndpointsConfigDump`,
      dynamic_endpoint_configs: list(ClusterLoadAssignmentSchema, config.endpoints, `${type}.endpoint.v3.ClusterLoadAssignment`).map(
        ({ resource, version_info, last_updated }) => ({ version_info, endpoint_config: resource, last_updated }),
      ),
    });
  }
  return dump;
}

function resourceJson<Schema extends DescMessage>(schema: Schema, message: MessageShape<Schema>): JsonValue {
  const registry = envoyRegistry();
  try {
    return toJson(schema, message, { registry, useProtoFieldName: true });
  } catch {
    return toJson(schema, knownOnly(message) as MessageShape<Schema>, { registry, useProtoFieldName: true });
  }
}

/** The message with every Any of an unknown type replaced by its type's name, as JSON cannot show what it holds. */
function knownOnly(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(knownOnly);
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  const typeUrl: unknown = Reflect.get(value, "typeUrl");
  const name = Reflect.get(value, "$typeName") === AnySchema.typeName && typeof typeUrl === "string" ? typeUrl.split("/").at(-1) : undefined;
  if (name !== undefined && envoyRegistry().getMessage(name) === undefined) {
    return anyPack(StringValueSchema, create(StringValueSchema, { value: `a message of ${name}, which this proxy does not know` }));
  }
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, knownOnly(inner)]));
}

function clustersAnswer({ config }: AdminSources, asJson: boolean): { status: number; contentType: string; body: string } {
  const clusters = config.allClusters();
  if (!asJson) {
    const lines = clusters.flatMap((cluster) =>
      [...cluster.endpoints()].flatMap((endpoint) => [
        `${cluster.name}::${endpoint.name}::cx_active::${endpoint.pool.openConnections}`,
        `${cluster.name}::${endpoint.name}::cx_connect_fail::${endpoint.counters.connectFailures}`,
        `${cluster.name}::${endpoint.name}::rq_total::${endpoint.counters.requests}`,
        `${cluster.name}::${endpoint.name}::rq_error::${endpoint.counters.errors}`,
        `${cluster.name}::${endpoint.name}::rq_active::${endpoint.activeRequests}`,
        `${cluster.name}::${endpoint.name}::health_flags::${endpoint.config.healthy ? "healthy" : "/failed_eds_health"}`,
        `${cluster.name}::${endpoint.name}::weight::${endpoint.config.weight}`,
      ]),
    );
    return { status: 200, contentType: "text/plain; charset=utf-8", body: `${lines.join("\n")}\n` };
  }
  const statuses = clusters.map((cluster) => ({
    name: cluster.name,
    added_via_api: true,
    host_statuses: [...cluster.endpoints()].map(({ config: endpoint, counters, activeRequests, pool }) => ({
      address: { socket_address: { address: endpoint.address, port_value: endpoint.port } },
      stats: [
        { name: "cx_active", type: "GAUGE", value: String(pool.openConnections) },
        { name: "rq_total", value: String(counters.requests) },
        { name: "rq_error", value: String(counters.errors) },
        { name: "rq_active", type: "GAUGE", value: String(activeRequests) },
      ],
      health_status: { eds_health_status: endpoint.healthy ? "HEALTHY" : "UNHEALTHY" },
      weight: endpoint.weight,
    })),
  }));
  return { status: 200, contentType: "application/json", body: `${JSON.stringify({ cluster_statuses: statuses }, undefined, 1)}\n` };
}

function listenersAnswer({ listeners }: AdminSources, asJson: boolean): { status: number; contentType: string; body: string } {
  const all = [...listeners.listeners()].flatMap(({ name, addresses }) => addresses.map(({ address, port }) => ({ name, address, port })));
  if (!asJson) return { status: 200, contentType: "text/plain; charset=utf-8", body: all.map(({ name, address, port }) => `${name}::${address}:${port}\n`).join("") };
  const statuses = all.map(({ name, address, port }) => ({ name, local_address: { socket_address: { address, port_value: port } } }));
  return { status: 200, contentType: "application/json", body: `${JSON.stringify({ listener_statuses: statuses }, undefined, 1)}\n` };
}

function statsAnswer({ stats }: AdminSources, url: URL): { status: number; body: string } {
  const wanted = url.searchParams.get("filter");
  const rows = stats.statistics().filter(({ name }) => wanted === null || name.includes(wanted));
  return { status: 200, body: `${rows.map(({ name, value }) => `${name}: ${value}`).join("\n")}\n` };
}
