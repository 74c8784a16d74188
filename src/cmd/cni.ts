import { join } from "node:path";
import { daemonSetKind, namespaceKind, nodeKind, podKind, type Pod } from "../api/kubernetes/index.ts";
import { pluginProblemReason, pluginRemedyAnnotation } from "../api/serin/index.ts";
import {
  envBoolean,
  envPort,
  envRequired,
  envString,
  messageOf,
  nodeHttp,
  systemClock,
  type Environment,
  type Logger,
  limitConnections,
} from "../base/index.ts";
import { inTurns } from "../base/request-turns/index.ts";
import {
  agentEnd,
  CniAgent,
  openHostNamespace,
  problemText,
  SeenDaemonSet,
  type CniAgentOptions,
  type CniAgentPaths,
  type PluginProblem,
} from "../cni/index.ts";
import {
  createInformer,
  createKubeClient,
  drainDeletedPod,
  EventRecorder,
  loadInClusterConfig,
} from "../kube/index.ts";
import { networkError } from "../net/index.ts";
import type { MetricsRegistry } from "../telemetry/index.ts";
import type { RoleContext } from "./role.ts";

/** The name of the socket for the plugin. Istio's plugin expects HTTP on its socket, so this one has another name. */
const pluginSocket = "serin-cni.sock";

/** `serin cni`: the CNI agent of the node NODE_NAME. */
export async function run(context: RoleContext): Promise<number> {
  const { env, log, shutdown } = context;
  const nodeName = envRequired(env, "NODE_NAME", "the name of the node that this pod runs on (fieldRef spec.nodeName)");
  const client = createKubeClient(await loadInClusterConfig(env), {
    log: log.scoped("kube"),
    clock: systemClock,
    userAgent: "serin-cni",
  });
  void drainDeletedPod({ client, env, shutdown, log, clock: systemClock });
  const common = { log: log.scoped("kube"), clock: systemClock };
  const pods = createInformer(client, podKind, { ...common, fieldSelector: `spec.nodeName=${nodeName}` });
  const namespaces = createInformer(client, namespaceKind, common);
  const nodes = createInformer(client, nodeKind, { ...common, fieldSelector: `metadata.name=${nodeName}` });
  const namespace = envString(env, "POD_NAMESPACE", "istio-system");
  const daemonSet = envString(env, "DAEMONSET_NAME", "istio-cni-node");
  const own = createInformer(client, daemonSetKind, {
    ...common,
    namespace,
    fieldSelector: `metadata.name=${daemonSet}`,
    emptyIfForbidden: true,
  });
  const seen = new SeenDaemonSet(own);
  const paths = agentPaths(env);
  using hostNamespace = openHostNamespace(paths.hostProc);
  const { prometheusContentType, renderPrometheus } = await import("../telemetry/index.ts");
  const registry = await createRegistry(context.release.version);
  const events = new EventRecorder({ client, component: "istio-cni-node", host: nodeName, log, clock: systemClock });
  const ownName = `${namespace}/${envString(env, "POD_NAME", "")}`;
  const agent = new CniAgent({
    nodeName,
    excludedNamespaces: envString(env, "EXCLUDE_NAMESPACES", "istio-system,kube-system").split(","),
    settings: settingsOf(env),
    paths,
    plugin: pluginOf(env, paths),
    client,
    pods,
    namespaces,
    nodes,
    hostNamespaceFd: hostNamespace.fd,
    whyEnds: async (ztunnels) =>
      await agentEnd({ client, namespace, daemonSet, seen, clock: systemClock, log }, ztunnels),
    onProblem: (problem) => recordProblem(events, pods.get(ownName), problem),
    log,
    logsRoutes: envString(env, "SERIN_LOG_FORMAT", "") === "2022",
    clock: systemClock,
    registry,
  });
  const probe = await serveReadiness(agent, envPort(env, "READINESS_PORT", 8000), context.release.version);
  const metrics = serveMetrics(
    () => ({ type: prometheusContentType, text: renderPrometheus(registry) }),
    envPort(env, "MONITORING_PORT", 15_014),
    log,
  );
  const informersEnd = new AbortController();
  const informers = Promise.all([pods, namespaces, nodes, own].map((informer) => informer.run(informersEnd.signal)));
  try {
    await agent.run(shutdown.drain);
  } finally {
    informersEnd.abort();
    await informers;
    probe.close();
    metrics.close();
    client.close();
  }
  return 0;
}

/** Records the problem as an event on the agent's own pod. Does nothing until the agent has read the pod. */
function recordProblem(events: EventRecorder, own: Pod | undefined, problem: PluginProblem): void {
  if (own === undefined) return;
  events.record(podKind, own, {
    type: "Warning",
    reason: pluginProblemReason,
    message: problemText(problem),
    ...(problem.remedy === undefined ? {} : { annotations: { [pluginRemedyAnnotation]: problem.remedy } }),
  });
}

function settingsOf(env: Environment): CniAgentOptions["settings"] {
  return {
    ambient: envBoolean(env, "AMBIENT_ENABLED", true),
    dnsCapture: envBoolean(env, "AMBIENT_DNS_CAPTURE", true),
    ipv6: envBoolean(env, "AMBIENT_IPV6", true),
    repair: envBoolean(env, "REPAIR_ENABLED", true),
  };
}

function agentPaths(env: Environment): CniAgentPaths {
  const runDirectory = envString(env, "CNI_AGENT_RUN_DIR", "/var/run/istio-cni");
  return {
    hostProc: envString(env, "HOST_PROC", "/host/proc"),
    hostRoot: "/host",
    namespaceDirectory: "/host/var/run/netns",
    pluginSocket: join(runDirectory, pluginSocket),
    ztunnelSocket: envString(env, "ZTUNNEL_UDS_ADDRESS", "/var/run/ztunnel/ztunnel.sock"),
    cniBinDirectory: "/host/opt/cni/bin",
    cniConfDirectory: "/host/etc/cni/net.d",
  };
}

function pluginOf(env: Environment, paths: CniAgentPaths): CniAgentOptions["plugin"] {
  const confFile = envString(env, "CNI_CONF_NAME", "");
  return {
    // The folder has the same path in the pod as on the node.
    socketPath: paths.pluginSocket,
    architecture: process.arch,
    ...(confFile === "" ? {} : { confFile }),
    folders: {
      programs: envString(env, "SERIN_CNI_BIN_DIR", "/opt/cni/bin"),
      configuration: envString(env, "SERIN_CNI_CONF_DIR", "/etc/cni/net.d"),
    },
    chained: envBoolean(env, "CHAINED_CNI_PLUGIN", true),
  };
}

async function createRegistry(version: string): Promise<MetricsRegistry> {
  const { addProcessMetrics, MetricsRegistry } = await import("../telemetry/index.ts");
  const registry = new MetricsRegistry();
  addProcessMetrics(registry, process);
  registry.gauge("istio_build", "Istio component build info.", ["component", "tag"]).labels("cni", version).set(1);
  return registry;
}

/**
 * Serves `/readyz` and `/healthz` as Istio does. Two pages are Serin's own: `/version` returns the running release, and
 * `/debug/serin/enrolled` returns the rules and sockets of the node's pods.
 */
function serveReadiness(agent: CniAgent, port: number, version: string): Promise<{ close(): void }> {
  const server = nodeHttp().createServer(
    inTurns((request, response) => {
      const path = request.url ?? "";
      if (path === "/version") response.writeHead(200).end(`${version}\n`);
      else if (path === "/debug/serin/enrolled")
        response
          .writeHead(200, { "content-type": "application/json" })
          .end(`${JSON.stringify(agent.enrolled(version))}\n`);
      else if (path === "/healthz" || (path === "/readyz" && agent.ready)) response.writeHead(200).end("OK\n");
      else if (path === "/readyz") response.writeHead(503).end(`${notReadyText(agent)}\n`);
      else response.writeHead(404).end();
    }),
  );
  limitConnections(server);
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(networkError(`listen on port ${port}`, error)));
    server.listen(port, () => resolve({ close: () => server.close().closeAllConnections() }));
  });
}

function notReadyText({ problem }: CniAgent): string {
  return problem === undefined ? "the agent is still starting" : problemText(problem);
}

/** Serves `/metrics` on a port of the node. If another process has the port, logs this and continues. */
function serveMetrics(
  render: () => { readonly type: string; readonly text: string },
  port: number,
  log: Logger,
): { close(): void } {
  const server = nodeHttp().createServer(
    inTurns((request, response) => {
      if (request.url !== "/metrics") {
        response.writeHead(404).end();
        return;
      }
      const { type, text } = render();
      response.writeHead(200, { "content-type": type }).end(text);
    }),
  );
  limitConnections(server);
  server.on("error", (error) => log.warn("metrics are not served", { port, error: messageOf(error) }));
  server.listen(port);
  return { close: () => server.close().closeAllConnections() };
}
