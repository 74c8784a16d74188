import { logLevels, type LogLevel, type LogThreshold } from "../../base/index.ts";
import { jsonRoute, metricsRoute, type EndpointAnswer, type EndpointRoute } from "../../dataplane/index.ts";
import type { MetricsRegistry } from "../../telemetry/index.ts";
import type { ListenerSet } from "../listener-set.ts";
import type { ProxyConfig } from "../proxy-config.ts";
import type { ProxySettings } from "../proxy-settings.ts";
import type { SecretStore } from "../tls/secret-store.ts";
import { certificatesAnswer } from "./certificates-answer.ts";
import { clustersJson, clustersText } from "./cluster-status.ts";
import { configDump, dumpOfResource } from "./config-dump.ts";
import type { ProxyStats } from "./proxy-stats.ts";
import { staticClusters, staticListeners } from "./static-resources.ts";

export interface AdminSources {
  readonly settings: ProxySettings;
  readonly config: ProxyConfig;
  readonly listeners: ListenerSet;
  readonly secrets: SecretStore;
  readonly stats: ProxyStats;
  readonly registry: MetricsRegistry;
  /** Undefined where the level cannot be changed. */
  readonly logThreshold: LogThreshold | undefined;
  readonly startedMs: number;
  readonly nowMs: () => number;
  readonly state: () => "LIVE" | "DRAINING" | "INITIALIZING";
  readonly drainListeners: (inboundOnly: boolean) => void;
  /** Readiness fails, or holds again. */
  readonly setHealth: (healthy: boolean) => void;
  readonly quit: () => void;
}

/** Does something when asked by POST. */
export function onPost(act: (url: URL) => void): EndpointRoute {
  return (request, url) => {
    if (request.method !== "POST") return { status: 405, body: "Method Not Allowed\n" };
    act(url);
    return { status: 200, body: "OK\n" };
  };
}

/** The admin paths that tools of Envoy and Istio ask, in Envoy's forms. */
export function adminRoutes(sources: AdminSources): Record<string, EndpointRoute> {
  const { config, secrets, settings } = sources;
  const routes: Record<string, EndpointRoute> = {
    "/certs": jsonRoute(() => certificatesAnswer(secrets, sources.nowMs())),
    "/clusters": (_request, url) => {
      const fixed = staticClusters(settings);
      return url.searchParams.get("format") === "json"
        ? json(clustersJson(fixed, config.allClusters()))
        : text(clustersText(fixed, config.allClusters()));
    },
    "/config_dump": (_request, url) => configAnswer(sources, url),
    "/drain_listeners": onPost((url) => sources.drainListeners(url.searchParams.has("inboundonly"))),
    "/healthcheck/fail": onPost(() => sources.setHealth(false)),
    "/healthcheck/ok": onPost(() => sources.setHealth(true)),
    "/listeners": (_request, url) => listenersAnswer(sources, url.searchParams.get("format") === "json"),
    "/logging": (request, url) => loggingAnswer(sources.logThreshold, request.method === "POST", url),
    "/memory": jsonRoute(memoryAnswer),
    "/quitquitquit": onPost(sources.quit),
    "/ready": () => (sources.state() === "LIVE" ? text("LIVE\n") : { status: 503, body: `${sources.state()}\n` }),
    "/reset_counters": onPost(() => undefined),
    "/runtime": jsonRoute(() => ({ layers: [], entries: {} })),
    "/server_info": jsonRoute(() => serverInfo(sources)),
    "/stats": (request, url) =>
      url.searchParams.get("format") === "prometheus"
        ? metricsRoute(sources.registry)(request, url)
        : statsAnswer(sources.stats, url),
    "/stats/prometheus": metricsRoute(sources.registry),
  };
  const list: EndpointRoute = () =>
    text(
      `${Object.keys(routes)
        .filter((path) => path !== "/" && path !== "/help")
        .join("\n")}\n`,
    );
  return Object.assign(routes, { "/": list, "/help": list });
}

function json(value: unknown): EndpointAnswer {
  return { status: 200, contentType: "application/json", body: `${JSON.stringify(value, undefined, 1)}\n` };
}

function text(body: string): EndpointAnswer {
  return { status: 200, contentType: "text/plain; charset=utf-8", body };
}

function serverInfo({ settings, startedMs, nowMs, state }: AdminSources): unknown {
  const uptime = `${Math.floor((nowMs() - startedMs) / 1000)}s`;
  return {
    version: `serin/${settings.version}/Clean/RELEASE/Node`,
    state: state(),
    uptime_current_epoch: uptime,
    uptime_all_epochs: uptime,
    hot_restart_version: "disabled",
    command_line_options: {
      base_id: "0",
      concurrency: 1,
      drain_strategy: "Gradual",
      log_level: settings.logLevel,
      mode: "Serve",
      service_cluster: `${settings.workloadName}.${settings.podNamespace}`,
      service_node: nodeId(settings),
    },
    node: {
      id: nodeId(settings),
      cluster: `${settings.workloadName}.${settings.podNamespace}`,
      metadata: settings.metadata,
    },
  };
}

/** `<type>~<address>~<pod>.<namespace>~<domain>`. */
export function nodeId(settings: ProxySettings): string {
  return `${settings.role}~${settings.instanceIp}~${settings.podName}.${settings.podNamespace}~${settings.domain}`;
}

function configAnswer(sources: AdminSources, url: URL): EndpointAnswer {
  const resource = url.searchParams.get("resource");
  const withEndpoints = url.searchParams.has("include_eds") || resource?.includes("endpoint") === true;
  const dump = configDump({ ...sources, nodeId: nodeId(sources.settings) }, withEndpoints);
  if (resource === null) return json({ configs: dump });
  const list = dumpOfResource(dump, resource, url.searchParams.get("name_regex"));
  return list === undefined ? { status: 404, body: `${resource} not found in config dump\n` } : json({ configs: list });
}

function listenersAnswer({ listeners, settings }: AdminSources, asJson: boolean): EndpointAnswer {
  const all = [
    ...[...listeners.listeners()].flatMap(({ name, addresses }) =>
      addresses.map(({ address, port }) => ({ name, address, port })),
    ),
    ...staticListeners(settings).map(({ name, port }) => ({ name, address: "0.0.0.0", port })),
  ];
  if (!asJson) return text(all.map(({ name, address, port }) => `${name}::${address}:${port}\n`).join(""));
  return json({
    listener_statuses: all.map(({ name, address, port }) => ({
      name,
      local_address: { socket_address: { address, port_value: port } },
    })),
  });
}

function statsAnswer(stats: ProxyStats, url: URL): EndpointAnswer {
  const filter = url.searchParams.get("filter");
  let wanted: RegExp | undefined;
  try {
    wanted = filter === null ? undefined : new RegExp(filter);
  } catch {
    return { status: 400, body: `the filter "${filter ?? ""}" is no regular expression\n` };
  }
  const usedOnly = url.searchParams.has("usedonly");
  const rows = stats
    .statistics()
    .filter(({ name, value }) => (wanted === undefined || wanted.test(name)) && (!usedOnly || value !== 0));
  if (url.searchParams.get("format") === "json")
    return json({ stats: rows.map(({ name, value }) => ({ name, value })) });
  return text(`${rows.map(({ name, value }) => `${name}: ${value}`).join("\n")}\n`);
}

/** Envoy's words for our levels, and back. */
const envoyLevels: Readonly<Record<string, LogLevel>> = {
  trace: "trace",
  debug: "debug",
  info: "info",
  warning: "warn",
  warn: "warn",
  error: "error",
  critical: "error",
  off: "error",
};
const loggers = [
  "admin",
  "config",
  "connection",
  "filter",
  "http",
  "http2",
  "jwt",
  "pool",
  "rbac",
  "router",
  "upstream",
];

function loggingAnswer(threshold: LogThreshold | undefined, post: boolean, url: URL): EndpointAnswer {
  const asked = [...url.searchParams].flatMap(([name, value]) =>
    name === "paths" ? value.split(",").map((one) => one.split(":")[1] ?? "") : [value],
  );
  const word = asked.at(-1);
  const level = word === undefined ? undefined : envoyLevels[word];
  if (post && word !== undefined) {
    if (level === undefined)
      return {
        status: 400,
        body: `the level ${word} is unknown: expected one of ${Object.keys(envoyLevels).join(", ")}\n`,
      };
    if (threshold === undefined) return { status: 400, body: "the level of this process cannot be changed\n" };
    // There is one level for the whole process.
    threshold.level = level;
  }
  const now = threshold?.level ?? logLevels[2];
  return text(
    `active loggers:\n${loggers.map((name) => `  ${name}: ${now === "warn" ? "warning" : now}`).join("\n")}\n`,
  );
}

function memoryAnswer(): unknown {
  const { heapUsed, heapTotal, rss } = process.memoryUsage();
  return {
    allocated: String(heapUsed),
    heap_size: String(heapTotal),
    pageheap_unmapped: "0",
    pageheap_free: "0",
    total_thread_cache: "0",
    total_physical_bytes: String(rss),
  };
}
