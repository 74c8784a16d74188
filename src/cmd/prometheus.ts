// Serves the metrics store in place of Prometheus, and accepts Prometheus' flags.
import { readFile } from "node:fs/promises";
import { messageOf, systemClock, userError, type Environment, type Logger } from "../base/index.ts";
import { prometheusPage, type AskApi } from "../addons/prometheus/index.ts";
import {
  listenAddress,
  readFlags,
  serveWeb,
  textAnswer,
  type WebHandler,
  type WebRequest,
} from "../addons/web/index.ts";
import { createKubeClient, loadInClusterConfig } from "../kube/index.ts";
import {
  createFetchMetrics,
  maskedConfig,
  parseScrapeConfig,
  PrometheusApi,
  SampleStore,
  Scraper,
} from "../metrics-store/index.ts";
import { parseDurationMs } from "../promql/index.ts";
import { addProcessMetrics, MetricsRegistry, prometheusContentType, renderPrometheus } from "../telemetry/index.ts";
import type { RoleContext } from "./role.ts";

const defaultConfigFile = "/etc/prometheus/prometheus.yml";
const defaultAddress = "0.0.0.0:9090";

export async function run({ args, env, log, shutdown, release }: RoleContext): Promise<number> {
  const flags = readFlags(args);
  const path = flags.get("config.file") ?? defaultConfigFile;
  let text = await readConfig(path);
  const config = parseScrapeConfig(text, path);
  for (const warning of config.warnings) log.warn(warning);
  const store = new SampleStore(retentionOf(flags));
  const scraper = new Scraper(config, {
    store,
    fetch: createFetchMetrics(),
    clock: systemClock,
    log,
    namespace: env["POD_NAMESPACE"] ?? "",
    ...(await clusterOf(env, log)),
  });
  const reload = async (): Promise<void> => {
    const changed = await readConfig(path);
    const parsed = parseScrapeConfig(changed, path);
    for (const warning of parsed.warnings) log.warn(warning);
    text = changed;
    scraper.reconfigure(parsed);
    log.info("configuration reloaded", { path });
  };
  process.on(
    "SIGHUP",
    () =>
      void reload().catch((error: unknown) =>
        log.error("the previous configuration stays in use", { error: messageOf(error) }),
      ),
  );
  const api = new PrometheusApi({
    store,
    scraper,
    clock: systemClock,
    build: { version: (env["PROMETHEUS_VERSION"] ?? release.version).replace(/^v/, ""), revision: release.version },
    flags: Object.fromEntries(flags),
    configText: () => maskedConfig(text),
    reload: flags.has("web.enable-lifecycle") ? reload : undefined,
  });
  const handle = handlerOf(api, store);
  await Promise.all([
    scraper.run(shutdown.drain),
    serveWeb(
      handle,
      { ...listenAddress("web.listen-address", flags.get("web.listen-address") ?? defaultAddress), log },
      shutdown.drain,
    ),
  ]);
  return 0;
}

function handlerOf(api: PrometheusApi, store: SampleStore): WebHandler {
  const registry = new MetricsRegistry();
  addProcessMetrics(registry, process);
  addStoreMetrics(registry, store);
  const askFor =
    ({ clientAddress, nextTurn }: WebRequest): AskApi =>
    async (path, params) => {
      const answer = await api.handle({
        method: "GET",
        path,
        params: new URLSearchParams(params),
        clientAddress,
        nextTurn,
      });
      return JSON.parse(answer?.body ?? '{"error":"not found"}') as { data: unknown } | { error: string };
    };
  return async (request: WebRequest) => {
    if (request.path === "/metrics")
      return { status: 200, contentType: prometheusContentType, body: renderPrometheus(registry) };
    return (
      (await api.handle(request)) ??
      (await prometheusPage(request, askFor(request))) ??
      textAnswer("404 page not found\n", 404)
    );
  };
}

function addStoreMetrics(registry: MetricsRegistry, store: SampleStore): void {
  const series = registry.gauge("prometheus_tsdb_head_series", "Series in the store.").labels();
  const appended = registry
    .counter("prometheus_tsdb_head_samples_appended_total", "Samples that were accepted.")
    .labels();
  const bytes = registry.gauge("serin_metrics_store_sample_bytes", "Memory that the samples use.").labels();
  const dropped = registry
    .counter("serin_metrics_store_dropped_series_total", "Series that were dropped to make room for others.")
    .labels();
  const refused = registry.counter("serin_metrics_store_refused_total", "Samples that were refused, by reason.", [
    "reason",
  ]);
  registry.onCollect(() => {
    const { stats } = store;
    series.set(stats.series);
    bytes.set(stats.sampleBytes);
    appended.add(stats.appended - appended.value);
    dropped.add(stats.dropped - dropped.value);
    for (const [reason, count] of Object.entries(stats.refused)) {
      const counter = refused.labels(reason);
      counter.add(count - counter.value);
    }
  });
}

async function readConfig(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw userError("file-unreadable", `cannot read the configuration ${path}: ${messageOf(cause)}`, {
      cause,
      hint: "pass its path with --config.file",
    });
  }
}

async function clusterOf(env: Environment, log: Logger): Promise<{ client?: ReturnType<typeof createKubeClient> }> {
  if (env["KUBERNETES_SERVICE_HOST"] === undefined) return {};
  return {
    client: createKubeClient(await loadInClusterConfig(env), { log, clock: systemClock, userAgent: "prometheus" }),
  };
}

function retentionOf(flags: ReadonlyMap<string, string>): { readonly retentionMs?: number } {
  const text = flags.get("storage.tsdb.retention.time") ?? flags.get("storage.tsdb.retention");
  if (text === undefined) return {};
  const retentionMs = parseDurationMs(text);
  if (retentionMs === undefined)
    throw userError(
      "argument-invalid",
      `--storage.tsdb.retention.time: expected a duration such as 15d, got "${text}"`,
    );
  return { retentionMs };
}
