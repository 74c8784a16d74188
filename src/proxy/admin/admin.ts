import { logLevels, type LogThreshold, ownField } from "../../base/index.ts";
import { jsonRoute, metricsRoute, type EndpointAnswer, type EndpointRoute } from "../../dataplane/index.ts";
import { envoyLevels, nodeId, type ProxySettings } from "../proxy-settings.ts";
import type { Serving, Statistic } from "../serving.ts";
import type { ServerState, ServerStats } from "./server-stats.ts";
import { clustersJson, clustersText } from "./cluster-status.ts";
import { json, text } from "./config-answers.ts";
import { staticClusters } from "./static-resources.ts";

export interface AdminSources {
  readonly settings: ProxySettings;
  readonly serving: Serving;
  /** The level of the log. Undefined if it cannot be changed. */
  readonly logThreshold: LogThreshold | undefined;
  readonly server: ServerStats;
  readonly startedMs: number;
  readonly nowMs: () => number;
  /** Returns the present state. The call also updates the state that the statistics show. */
  readonly state: () => Promise<ServerState>;
  readonly setHealth: (healthy: boolean) => void;
  readonly quit: () => void;
}

/** A route that runs an action on POST, and answers any other method with 405. */
export function onPost(act: (url: URL) => void): EndpointRoute {
  return (request, url) => {
    if (request.method !== "POST") return { status: 405, body: "Method Not Allowed\n" };
    act(url);
    return { status: 200, body: "OK\n" };
  };
}

/** The admin endpoints that tools for Envoy and Istio use, in Envoy's formats. */
export function adminRoutes(sources: AdminSources): Record<string, EndpointRoute> {
  const { serving, settings } = sources;
  const ofConfig: EndpointRoute = (_request, url) => serving.answer(`${url.pathname}${url.search}`);
  const metrics = servingMetricsRoute(serving, sources.state);
  const routes: Record<string, EndpointRoute> = {
    "/certs": ofConfig,
    "/clusters": async (_request, url) => {
      const fixed = staticClusters(settings);
      const clusters = await serving.clusters();
      return url.searchParams.get("format") === "json"
        ? json(clustersJson(fixed, clusters))
        : text(clustersText(fixed, clusters));
    },
    "/config_dump": ofConfig,
    "/drain_listeners": onPost((url) => serving.drain(url.searchParams.has("inboundonly"))),
    "/healthcheck/fail": onPost(() => sources.setHealth(false)),
    "/healthcheck/ok": onPost(() => sources.setHealth(true)),
    "/listeners": ofConfig,
    "/logging": (request, url) => loggingAnswer(sources, request.method === "POST", url),
    "/memory": jsonRoute(memoryAnswer),
    "/quitquitquit": onPost(sources.quit),
    "/ready": async () => {
      const state = await sources.state();
      return state === "LIVE" ? text("LIVE\n") : { status: 503, body: `${state}\n` };
    },
    "/reset_counters": onPost(() => undefined),
    "/runtime": jsonRoute(() => ({ layers: [], entries: {} })),
    "/server_info": async () => json(serverInfo(sources, await sources.state())),
    "/stats": async (request, url) => {
      if (url.searchParams.get("format") === "prometheus") return await metrics(request, url);
      await sources.state();
      return statsAnswer([...sources.server.statistics(), ...(await serving.statistics())], url);
    },
    "/stats/prometheus": metrics,
  };
  const list: EndpointRoute = () =>
    text(
      `${Object.keys(routes)
        .filter((path) => path !== "/" && path !== "/help")
        .join("\n")}\n`,
    );
  return Object.assign(routes, { "/": list, "/help": list });
}

/** The metrics of the proxy in Prometheus' text format. `state` is called first, because its result is one of them. */
export function servingMetricsRoute(serving: Serving, state: AdminSources["state"]): EndpointRoute {
  return metricsRoute(async (names) => {
    await state();
    return await serving.metrics(names);
  });
}

function serverInfo({ settings, serving, startedMs, nowMs }: AdminSources, state: string): unknown {
  const uptime = `${Math.floor((nowMs() - startedMs) / 1000)}s`;
  return {
    version: `serin/${settings.version}/Clean/RELEASE/Node`,
    state,
    uptime_current_epoch: uptime,
    uptime_all_epochs: uptime,
    hot_restart_version: "disabled",
    command_line_options: {
      base_id: "0",
      concurrency: serving.workers,
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

function statsAnswer(statistics: readonly Statistic[], url: URL): EndpointAnswer {
  const filter = url.searchParams.get("filter");
  let wanted: RegExp | undefined;
  try {
    wanted = filter === null ? undefined : new RegExp(filter);
  } catch {
    return { status: 400, body: `the filter "${filter ?? ""}" is not a regular expression\n` };
  }
  const usedOnly = url.searchParams.has("usedonly");
  const rows = statistics.filter(
    ({ name, value }) => (wanted === undefined || wanted.test(name)) && (!usedOnly || value !== 0),
  );
  if (url.searchParams.get("format") === "json")
    return json({ stats: rows.map(({ name, value }) => ({ name, value })) });
  return text(`${rows.map(({ name, value }) => `${name}: ${value}`).join("\n")}\n`);
}

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

function loggingAnswer({ logThreshold: threshold, serving }: AdminSources, post: boolean, url: URL): EndpointAnswer {
  const words = [...url.searchParams].flatMap(([name, value]) =>
    name === "paths" ? value.split(",").map((path) => path.split(":")[1] ?? "") : [value],
  );
  const word = words.at(-1);
  const level = word === undefined ? undefined : ownField(envoyLevels, word);
  if (post && word !== undefined) {
    if (level === undefined)
      return {
        status: 400,
        body: `the level ${word} is unknown: expected one of ${Object.keys(envoyLevels).join(", ")}\n`,
      };
    if (threshold === undefined) return { status: 400, body: "the level of this process cannot be changed\n" };
    // Every worker logs at the level of the process, so the level is set for all of them.
    threshold.level = level;
    serving.setLogLevel(level);
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
