// The mesh graph in Kiali's place, by Kiali's flags and configuration.
import { readFile } from "node:fs/promises";
import { messageOf, systemClock, userError } from "../base/index.ts";
import { KialiApi, parseKialiConfig } from "../addons/kiali/index.ts";
import { createQueryPrometheus, readFlags, serveWeb, textAnswer, type WebHandler } from "../addons/web/index.ts";
import { createKubeClient, loadKubeConfig } from "../kube/index.ts";
import { addProcessMetrics, MetricsRegistry, prometheusContentType, renderPrometheus } from "../telemetry/index.ts";
import type { RoleContext } from "./role.ts";

const defaultConfigFile = "/kiali-configuration/config.yaml";

export async function run({ args, env, log, shutdown, release }: RoleContext): Promise<number> {
  const path = readFlags(args).get("config") ?? defaultConfigFile;
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw userError("kiali-config-missing", `cannot read the configuration ${path}: ${messageOf(cause)}`, { cause, hint: "name it by -config" });
  });
  const config = parseKialiConfig(text, path);
  const client = createKubeClient(await loadKubeConfig(env), { log, clock: systemClock, userAgent: "kiali" });
  const api = new KialiApi({ config, client, query: createQueryPrometheus(config.prometheusUrl), clock: systemClock, version: release.version });
  const registry = new MetricsRegistry();
  addProcessMetrics(registry, process);
  const metrics: WebHandler = async (request) => (request.path === "/metrics" ? { status: 200, contentType: prometheusContentType, body: renderPrometheus(registry) } : textAnswer("not found\n", 404));
  await Promise.all([
    serveWeb(async (request) => await api.handle(request), { host: "", port: config.port, log }, shutdown.drain),
    serveWeb(metrics, { host: "", port: config.metricsPort, log }, shutdown.drain),
  ]);
  client.close();
  return 0;
}
