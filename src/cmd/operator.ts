// The operators that run in the cluster: one for IstioOperator objects, one for Banzai Cloud's Istio and MeshGateway,
// and the proxy in front of their metrics.
import { readFile } from "node:fs/promises";
import type { RequestListener } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { join } from "node:path";
import {
  aborted,
  envList,
  envString,
  messageOf,
  nodeHttp,
  systemClock,
  userError,
  type Logger,
  limitConnections,
} from "../base/index.ts";
import { inTurns } from "../base/request-turns/index.ts";
import type { UntypedObject } from "../api/index.ts";
import { imagesOf } from "../api/images/index.ts";
import {
  createKubeClient,
  drainDeletedPod,
  LeaderElection,
  loadKubeConfig,
  objectsInManifest,
  QueueMetrics,
  type KubeClient,
} from "../kube/index.ts";
import { addProcessMetrics, MetricsRegistry, prometheusContentType, renderPrometheus } from "../telemetry/index.ts";
import type { RoleContext } from "./role.ts";

/** `serin operator init` and so on are verbs of the command line. With flags, `serin operator` is a process. */
export async function run(context: RoleContext): Promise<number> {
  const [first] = context.args;
  const isProcess = first !== undefined && (first === "server" || (first.startsWith("--") && first !== "--help"));
  if (!isProcess) return await (await import("./cli.ts")).run({ ...context, args: ["operator", ...context.args] });
  const flags = readFlags(context.args);
  const kind = flags.get("kind") ?? "istio";
  const client = createKubeClient(await loadKubeConfig(context.env), {
    log: context.log,
    clock: systemClock,
    userAgent: `${kind}-operator/${context.release.version}`,
  });
  const { env, shutdown, log } = context;
  // To drain a pod, a controller lists pods. The other kinds of controllers have no right to that.
  if (kind === "istio") void drainDeletedPod({ client, env, shutdown, log, clock: systemClock });
  try {
    if (kind === "metrics-proxy") await runMetricsProxy(client, flags, context);
    else if (kind === "istio") await runIstioOperator(client, context);
    else if (kind === "banzai") await runBanzaiOperator(client, flags, context);
    else throw userError("argument-invalid", `--kind must be istio, banzai or metrics-proxy, got "${kind}"`);
  } finally {
    client.close();
  }
  return 0;
}

/**
 * Reads `--name=value`, `--name value` and `--name`. Accepts every name, because charts also pass flags of the original
 * operators that have no meaning here.
 */
function readFlags(args: readonly string[]): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const [index, argument] of args.entries()) {
    const [, name, value] = /^--([a-z-]+)(?:=(.*))?$/.exec(argument) ?? [];
    if (name === undefined) continue;
    const next = args[index + 1];
    found.set(name, value ?? (next === undefined || next.startsWith("-") ? "true" : next));
  }
  return found;
}

async function readDefinitions(root: string, name: string): Promise<UntypedObject[]> {
  return await Array.fromAsync(objectsInManifest(await readFile(join(root, "manifests/crds", `${name}.yaml`), "utf8")));
}

const readyTimeoutMs = 300_000;

async function runIstioOperator(client: KubeClient, { env, log, shutdown, release }: RoleContext): Promise<void> {
  const { IstioOperatorController } = await import("../operator/index.ts");
  const identity = envString(env, "POD_NAME", `istio-operator-${process.pid}`);
  const metrics = new MetricsRegistry();
  const controller = new IstioOperatorController({
    client,
    watchedNamespaces: envList(env, "WATCH_NAMESPACE", ""),
    revision: envString(env, "REVISION", ""),
    defaults: imagesOf(env, release.version),
    customResources: async () => ({
      istio: await readDefinitions(release.root, "istio"),
      rollout: await readDefinitions(release.root, "rollout"),
    }),
    identity,
    readyTimeoutMs,
    queues: new QueueMetrics(metrics),
    clock: systemClock,
    log,
  });
  const name = `istio-operator-lock${envString(env, "REVISION", "") === "" ? "" : `-${envString(env, "REVISION", "")}`}`;
  await lead(
    {
      client,
      namespace: envString(env, "LEADER_ELECTION_NAMESPACE", envString(env, "POD_NAMESPACE", "istio-operator")),
      name,
      identity,
      metrics,
      listen: ["0.0.0.0", 8383],
    },
    { log, shutdown },
    async (leading) => await controller.run(leading),
  );
}

async function runBanzaiOperator(
  client: KubeClient,
  flags: ReadonlyMap<string, string>,
  { env, log, shutdown, release }: RoleContext,
): Promise<void> {
  const minor = (flags.get("istio-version") ?? flags.get("minor") ?? "").split(".").slice(0, 2).join(".");
  if (!/^1\.\d+$/.test(minor))
    throw userError(
      "argument-invalid",
      `--istio-version must name the minor release that this operator manages, such as 1.6, got "${minor}"`,
    );
  const { BanzaiOperator, tellOfSecondOperator } = await import("../operator/index.ts");
  const metrics = new MetricsRegistry();
  const operator = new BanzaiOperator({
    client,
    minor,
    images: imagesOf(env, release.version),
    definitions: async () => await readDefinitions(release.root, "istio"),
    queues: new QueueMetrics(metrics),
    clock: systemClock,
    log,
  });
  // Pods of two namespaces may have the same name, so the identity contains the namespace.
  const identity = `${envString(env, "POD_NAMESPACE", "istio-system")}/${envString(env, "HOSTNAME", `istio-operator-${process.pid}`)}`;
  let passive = new AbortController();
  const [host = "0.0.0.0", port = "8080"] = (flags.get("metrics-addr") ?? "0.0.0.0:8080").split(":");
  const replica = {
    client,
    // The lease is one for the whole cluster, because two operators of the same release would fight over its objects.
    // Other releases have their own.
    namespace: flags.get("leader-election-namespace") ?? "kube-system",
    name: `banzai-istio-operator-${minor.replace(".", "-")}`,
    identity,
    metrics,
    listen: [host === "" ? "0.0.0.0" : host, Number(port)] as const,
    onFollow: (holder: string): void => {
      passive.abort();
      passive = new AbortController();
      const until = AbortSignal.any([passive.signal, shutdown.drain]);
      tellOfSecondOperator({ client, minor, identity, holder, clock: systemClock, log }, until).catch(
        (error: unknown) => log.warn("could not report a second operator", { error: messageOf(error) }),
      );
    },
  };
  await lead(replica, { log, shutdown }, async (leading) => {
    passive.abort();
    log.info("managing Istio objects", { minor });
    await operator.run(leading);
  });
}

interface Replica {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly name: string;
  readonly identity: string;
  readonly metrics: MetricsRegistry;
  readonly listen: readonly [host: string, port: number];
  readonly onFollow?: (holder: string) => void;
}

async function lead(
  replica: Replica,
  { log, shutdown }: Pick<RoleContext, "log" | "shutdown">,
  work: (leading: AbortSignal) => Promise<void>,
): Promise<void> {
  const { listen, metrics, ...election } = replica;
  addProcessMetrics(metrics, process);
  const server = nodeHttp().createServer(
    inTurns((request, response) => {
      if (request.url === "/ready" || request.url === "/healthz") response.end("ok\n");
      else if (request.url === "/metrics")
        response.setHeader("content-type", prometheusContentType).end(renderPrometheus(metrics));
      else response.writeHead(404).end();
    }),
  );
  limitConnections(server);
  server.listen(listen[1], listen[0]);
  try {
    await new LeaderElection({ ...election, log, clock: systemClock }).run(shutdown.drain, work);
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

const certificateLifetimeMs = 365 * 86_400_000;

/** Serves a manager's metrics over HTTPS to users who may read them, in place of kube-rbac-proxy. */
async function runMetricsProxy(
  client: KubeClient,
  flags: ReadonlyMap<string, string>,
  { log, shutdown }: RoleContext,
): Promise<void> {
  const address = flags.get("secure-listen-address") ?? "0.0.0.0:8443";
  const upstream = new URL(flags.get("upstream") ?? "http://127.0.0.1:8080/");
  const [{ CertificateAuthority, createSelfSignedAuthority }, { proxyMetrics }] = await Promise.all([
    import("../controlplane/ca/index.ts"),
    import("../operator/index.ts"),
  ]);
  const authority = await CertificateAuthority.load(
    await createSelfSignedAuthority("metrics-proxy", systemClock),
    systemClock,
  );
  const { certificate, privateKey } = await authority.issueServing(["localhost"], certificateLifetimeMs);
  const handler: RequestListener = (request, response) =>
    void proxyMetrics({ client, upstream, log }, request, response);
  const server = createSecureServer({ cert: certificate, key: privateKey }, handler);
  limitConnections(server);
  server.listen(Number(address.slice(address.lastIndexOf(":") + 1)), address.slice(0, address.lastIndexOf(":")));
  logListening(log, address, upstream);
  await aborted(shutdown.drain);
  server.close();
  server.closeAllConnections();
}

function logListening(log: Logger, address: string, upstream: URL): void {
  log.info("serves metrics to clients that may read them", { address, upstream: upstream.href });
}
