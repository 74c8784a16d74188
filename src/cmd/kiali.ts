// Serves the dashboard in place of Kiali. It accepts Kiali's flags and configuration, and answers at Kiali's paths.
import { readFile } from "node:fs/promises";
import { giveBackIdleMemory, messageOf, systemClock, unhurriedShare, userError } from "../base/index.ts";
import { readFlags, serveWeb, textAnswer, type WebHandler } from "../addons/web/index.ts";
import {
  askPodDirectly,
  AuditLog,
  checkTopic,
  ClusterAccess,
  createDashboardReader,
  createHandlers,
  DashboardServer,
  KialiApi,
  PageAssets,
  parseKialiConfig,
  readPageFiles,
  type KialiConfig,
} from "../dashboard/index.ts";
import { createKubeClient, loadKubeConfig } from "../kube/index.ts";
import { addProcessMetrics, MetricsRegistry, prometheusContentType, renderPrometheus } from "../telemetry/index.ts";
import type { RoleContext } from "./role.ts";

const defaultConfigFile = "/kiali-configuration/config.yaml";
const sessionIdleMs = 8 * 3_600_000;
const sessionMs = 24 * 3_600_000;

/**
 * With `-traffic prometheus`, traffic is read from the configured Prometheus. By default, it is read from the proxies'
 * metrics, which show changes within 2 s.
 */
export async function run({ args, env, log, shutdown, release }: RoleContext): Promise<number> {
  const flags = readFlags(args);
  const config = await readConfig(flags.get("config") ?? defaultConfigFile);
  const kubeConfig = await loadKubeConfig(env);
  const clock = systemClock;
  const client = createKubeClient(kubeConfig, { log, clock, userAgent: "kiali" });
  const pods = askPodDirectly(clock);
  const reader = createDashboardReader({
    client,
    clock,
    log,
    askPod: pods.ask,
    cluster: kubeConfig.server,
    ...(flags.get("traffic") === "prometheus" ? { prometheusUrl: config.prometheusUrl } : {}),
  });
  const audit = new AuditLog({ clock, log });
  const kiali = new KialiApi({
    config,
    client,
    traffic: async (seconds) => await reader.traffic(seconds),
    clock,
    version: release.version,
  });
  const page = PageAssets.from(await readPageFiles());
  const server = new DashboardServer({
    page: async () => await Promise.resolve(page),
    root: config.webRoot,
    access: new ClusterAccess({
      config: kubeConfig,
      client,
      anonymousReads: config.anonymousReads,
      namespace: config.rootNamespace,
      clock,
      log,
    }),
    sessionIdleMs,
    sessionMs,
    source: reader.views,
    handlers: createHandlers({
      measurements: reader.measurements,
      audit,
      clock,
      log,
      istioNamespace: config.rootNamespace,
      releaseDirectory: release.root,
      env,
      ended: shutdown.drain,
    }),
    checkTopic,
    otherApi: async (own, query, identity) => await kiali.answer(own, query, identity),
    audit,
    clock,
    log,
    version: release.version,
  });
  using _memory = giveBackIdleMemory(unhurriedShare);
  await Promise.all([
    reader.run(shutdown.drain),
    server.run({ host: "", ports: [config.port] }, shutdown.drain),
    serveWeb(processMetrics(), { host: "", port: config.metricsPort, log }, shutdown.drain),
  ]);
  pods.close();
  client.close();
  return 0;
}

async function readConfig(path: string): Promise<KialiConfig> {
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw userError("file-unreadable", `cannot read the configuration ${path}: ${messageOf(cause)}`, {
      cause,
      hint: "pass its path with -config",
    });
  });
  return parseKialiConfig(text, path);
}

function processMetrics(): WebHandler {
  const registry = new MetricsRegistry();
  addProcessMetrics(registry, process);
  return async (request) =>
    request.path === "/metrics"
      ? { status: 200, contentType: prometheusContentType, body: renderPrometheus(registry) }
      : textAnswer("not found\n", 404);
}
