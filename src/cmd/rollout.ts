// The rollout engine. It is a separate Deployment that belongs to no revision of the mesh.
import type { Server } from "node:http";
import { imagesOf } from "../api/images/index.ts";
import { envList, envString, envWhole, nodeHttp, systemClock, limitConnections, type Logger } from "../base/index.ts";
import { inTurns } from "../base/request-turns/index.ts";
import {
  createKubeClient,
  drainDeletedPod,
  LeaderElection,
  loadKubeConfig,
  QueueMetrics,
  type KubeClient,
} from "../kube/index.ts";
import { RolloutWebhook } from "../rollout/admission/index.ts";
import { AccessReviews, AuthorKey, AuthorRights } from "../rollout/access/index.ts";
import { parseAllowedHosts, removalRefusal, RolloutEngine } from "../rollout/index.ts";
import { addProcessMetrics, MetricsRegistry, prometheusContentType, renderPrometheus } from "../telemetry/index.ts";
import type { RoleContext } from "./role.ts";

const monitoringPort = 15_014;
const webhookPort = 15_017;
/** If the API server does not trust the webhook yet, the pod stays unready for at most this time. */
const trustGraceMs = 20_000;

/** The argument of Helm's hook, which asks whether the engine may be removed. */
const removal = "removal";

export async function run({ args, env, log, shutdown, release }: RoleContext): Promise<number> {
  const client = createKubeClient(await loadKubeConfig(env), {
    log,
    clock: systemClock,
    userAgent: `serin-rollout/${release.version}`,
  });
  if (args[0] === removal) return await allowRemoval(client, log);
  void drainDeletedPod({ client, env, shutdown, log, clock: systemClock });
  const maxConcurrentRollouts = envWhole(env, "MAX_CONCURRENT_ROLLOUTS", 8, 1);
  const allowedHosts = parseAllowedHosts(envString(env, "ALLOWED_HOSTS", ""));
  const reporters = envString(env, "REPORTER_NAMESPACES", "");
  const reporterNamespaces = reporters === "" ? undefined : envList(env, "REPORTER_NAMESPACES", "");
  const registry = new MetricsRegistry();
  addProcessMetrics(registry, process);
  const queues = new QueueMetrics(registry);
  const namespace = envString(env, "POD_NAMESPACE", "serin-system");
  const podName = envString(env, "POD_NAME", "");
  const image = { ...imagesOf(env, release.version), pod: `${namespace}/${podName}` };
  const authorKey = new AuthorKey(client, namespace);
  const accessReviews = new AccessReviews(client, systemClock);
  const webhook = new RolloutWebhook({
    client,
    log,
    clock: systemClock,
    namespace,
    port: webhookPort,
    authorKey,
    accessReviews,
  });
  const server = serveMonitoring({ webhook, registry, version: release.version, log });
  const ended = new AbortController();
  const answering = webhook.run(AbortSignal.any([shutdown.drain, ended.signal]), shutdown.force);
  const election = new LeaderElection({
    client,
    namespace,
    name: "serin-rollout",
    identity: podName === "" ? `serin-rollout-${process.pid}` : podName,
    log,
    clock: systemClock,
  });
  try {
    await election.run(shutdown.drain, async (leading) => {
      log.info("leading", { version: release.version });
      await new RolloutEngine({
        client,
        log,
        clock: systemClock,
        image,
        registry,
        queues,
        maxConcurrentRollouts,
        allowedHosts,
        reporterNamespaces,
        rights: new AuthorRights(authorKey, accessReviews),
        mayWrite: () => election.holds(),
        confirmsLead: async () => await election.confirms(),
      }).run(leading);
    });
  } finally {
    ended.abort();
    await answering;
    server.close();
    server.closeAllConnections();
  }
  return 0;
}

async function allowRemoval(client: KubeClient, log: Logger): Promise<number> {
  const refusal = await removalRefusal(client);
  if (refusal !== undefined) log.error(refusal);
  return refusal === undefined ? 0 : 1;
}

interface Monitoring {
  readonly webhook: RolloutWebhook;
  readonly registry: MetricsRegistry;
  readonly version: string;
  readonly log: Logger;
}

/** Serves `/ready`, `/version` and `/metrics`. */
function serveMonitoring({ webhook, registry, version, log }: Monitoring): Server {
  const graceOverMs = systemClock.steadyMs() + trustGraceMs;
  const server = nodeHttp().createServer(
    inTurns((request, response) => {
      // The engine becomes ready when the API server trusts its webhook, because the webhook records who creates each
      // rollout. Without a webhook, it is ready at once.
      if (request.url === "/ready")
        response.writeHead(webhook.trusted || systemClock.steadyMs() > graceOverMs ? 200 : 503).end("ok\n");
      else if (request.url === "/version")
        response.setHeader("content-type", "application/json").end(JSON.stringify({ version }));
      else if (request.url === "/metrics")
        response.setHeader("content-type", prometheusContentType).end(renderPrometheus(registry));
      else response.writeHead(404).end();
    }),
  );
  limitConnections(server);
  // Without this port, the pod does not become ready, but running rollouts continue.
  server.on("error", (error) =>
    log.warn("metrics and readiness are not served", { port: monitoringPort, error: error.message }),
  );
  server.listen(monitoringPort);
  return server;
}
