import { join } from "node:path";
import { isFinishedPod, namespaceKind, podKind, type Namespace, type Node, type Pod } from "../api/kubernetes/index.ts";
import type { EnrolledReport } from "../api/serin/index.ts";
import { aborted, messageOf, transientError, type Clock, type Logger, jsonEqual } from "../base/index.ts";
import type { MetricsRegistry } from "../telemetry/index.ts";
import { Reconciler, type Informer, type InformerChange, type KubeClient } from "../kube/index.ts";
import type { AgentEnd } from "./agent-end.ts";
import { addressesOf, isAmbientNamespace, wasCaptured } from "./ambient-pod.ts";
import { CniMetrics } from "./cni-metrics.ts";
import { HostProbeRules } from "./host-probe-rules.ts";
import { KeyedLock } from "./keyed-lock.ts";
import {
  notCalled,
  PluginInstaller,
  pluginProgram,
  PluginServer,
  RuntimeCalls,
  type NodeFolders,
  type PluginProblem,
  type PodAttachment,
  type ProblemSurroundings,
} from "./plugin/index.ts";
import { PodEnroller, type PodStart, type PodView } from "./pod-enroller.ts";
import { PodNamespaceFinder } from "./pod-namespace.ts";
import { reportProblems } from "./report-problems.ts";
import { SidecarRedirector } from "./sidecar-redirector.ts";
import { ZtunnelHub } from "./ztunnel-hub.ts";
import type { ZtunnelLink } from "./ztunnel-link.ts";

/** The paths that the agent uses, as its own container sees them. */
export interface CniAgentPaths {
  readonly hostProc: string;
  /**
   * The directory under which the host's directories are mounted. With `/host`, `/host/var/run/netns` is the host's
   * directory.
   */
  readonly hostRoot?: string;
  /** The mount of the host's directory of named network namespaces. */
  readonly namespaceDirectory?: string;
  /** The socket on which the agent serves the CNI plugin. */
  readonly pluginSocket: string;
  readonly ztunnelSocket: string;
  /**
   * The mounts of the directories that container runtimes read: one with plugins, and one with the node's network
   * configuration.
   */
  readonly cniBinDirectory: string;
  readonly cniConfDirectory: string;
}

export interface CniPluginOptions {
  /** The path of the agent's socket on the node. The plugin connects to it. */
  readonly socketPath: string;
  /** The node's architecture, in the spelling of Node.js. */
  readonly architecture: string;
  /** The name of the configuration file to which the plugin is added. If absent, it is the first one by name. */
  readonly confFile?: string;
  /** The paths of the node's CNI directories, as the installation's values state them. */
  readonly folders: NodeFolders;
  /**
   * Whether the plugin is added to the existing configuration. If false, the plugin gets a configuration file of its
   * own, because the platform calls it by name.
   */
  readonly chained: boolean;
}

/** The functions of the agent that an installation can switch off. */
export interface CniAgentSettings {
  /** Whether pods can join the mesh without a sidecar (ambient mode). */
  readonly ambient: boolean;
  /** Whether the DNS queries of these pods are captured. A pod's annotation overrides this default. */
  readonly dnsCapture: boolean;
  /** Whether the IPv6 traffic of these pods is captured. */
  readonly ipv6: boolean;
  /** Whether the agent installs the redirect to a sidecar in pods that started before the agent. */
  readonly repair: boolean;
}

export interface CniAgentOptions {
  readonly nodeName: string;
  /** The namespaces whose pods never join the mesh, whatever labels they have. */
  readonly excludedNamespaces: readonly string[];
  readonly settings: CniAgentSettings;
  readonly paths: CniAgentPaths;
  readonly plugin: CniPluginOptions;
  readonly client: Pick<KubeClient, "get" | "patchMerge">;
  readonly pods: Informer<Pod>;
  readonly namespaces: Informer<Namespace>;
  /** The informer of this agent's Node object. */
  readonly nodes: Informer<Node>;
  /** A descriptor of the node's network namespace. If absent, the agent's own namespace is used. */
  readonly hostNamespaceFd?: number;
  /**
   * How long a starting pod's request waits for a ztunnel. It must be less than the runtime's timeout. The default is 5
   * s.
   */
  readonly ztunnelWaitMs?: number;
  /** Called when the agent ends, with the revisions of its ztunnels. Returns why the agent ends. */
  readonly whyEnds: (ztunnels: readonly string[]) => Promise<AgentEnd>;
  /**
   * Called with the reason when the container runtime does not call the plugin, and again at intervals while the
   * problem lasts.
   */
  readonly onProblem?: (problem: PluginProblem) => void;
  readonly log: Logger;
  /** Whether the agent also writes the log lines of upstream's agent of 2022. Only Serin has this option. */
  readonly logsRoutes?: boolean;
  readonly clock: Clock;
  readonly registry: MetricsRegistry;
}

const reconcileConcurrency = 16;
const defaultZtunnelWaitMs = 5_000;
/** How often the agent checks whether the node still has the rules for probes. */
const probeRulesMs = 5_000;

/** The node's CNI agent. It moves the pods of one node into and out of the mesh. */
export class CniAgent {
  readonly #options: CniAgentOptions;
  readonly #log: Logger;
  readonly #hub: ZtunnelHub;
  readonly #probes: HostProbeRules;
  readonly #finder: PodNamespaceFinder;
  readonly #enroller: PodEnroller;
  readonly #redirector: SidecarRedirector;
  readonly #locks = new KeyedLock();
  readonly #reconciler: Reconciler;
  readonly #plugin: PluginServer;
  readonly #installer: PluginInstaller;
  readonly #metrics: CniMetrics;
  readonly #calls: RuntimeCalls;
  readonly #surroundings: ProblemSurroundings;
  #ready = false;

  constructor(options: CniAgentOptions) {
    const { log, clock, paths } = options;
    this.#options = options;
    this.#log = log;
    this.#hub = new ZtunnelHub(log, clock);
    this.#metrics = new CniMetrics(options.registry, () => this.#hub.links.length);
    this.#probes = new HostProbeRules(options.hostNamespaceFd);
    const finder = (this.#finder = new PodNamespaceFinder(paths));
    this.#redirector = new SidecarRedirector({ finder, log });
    this.#enroller = new PodEnroller({
      client: options.client,
      hub: this.#hub,
      finder,
      probes: this.#probes,
      excludedNamespaces: options.excludedNamespaces,
      capture: { pods: options.settings.ambient, dns: options.settings.dnsCapture, ipv6: options.settings.ipv6 },
      log,
      logsRoutes: options.logsRoutes ?? false,
      clock,
    });
    this.#reconciler = new Reconciler({
      name: "pods",
      reconcile: (key) => this.#reconcileKey(key),
      concurrency: reconcileConcurrency,
      maxAttempts: Number.POSITIVE_INFINITY,
      retryInitialMs: 100,
      retryMaxMs: 5_000,
      log,
      clock,
    });
    this.#calls = new RuntimeCalls(clock);
    this.#plugin = new PluginServer(
      paths.pluginSocket,
      {
        called: () => this.#calls.called(),
        add: async (pod) => await this.#metrics.pluginRequest(this.#add(pod)),
        check: (pod) => this.#check(pod),
        delete: (pod) => this.#delete(pod),
        status: () => this.#status(),
        collect: () => Promise.resolve(this.#addAll()),
      },
      log,
    );
    this.#surroundings = { folders: options.plugin.folders, nodeRoot: join(paths.hostProc, "1/root") };
    this.#installer = new PluginInstaller({
      binDirectory: paths.cniBinDirectory,
      confDirectory: paths.cniConfDirectory,
      ...(options.plugin.confFile === undefined ? {} : { confFile: options.plugin.confFile }),
      chained: options.plugin.chained,
      program: pluginProgram(options.plugin),
      surroundings: this.#surroundings,
      nodeIsReady: () => isReady(options.nodes.get(options.nodeName)),
      onInstall: (error) => (error === undefined ? this.#metrics.installed() : this.#metrics.installFailed()),
      log,
      clock,
    });
  }

  /**
   * Whether pods can start: the watches have synced, the sockets are open, and the container runtime calls the plugin.
   */
  get ready(): boolean {
    return this.#ready && this.#installer.installedAtMs !== undefined && this.#calls.missed === undefined;
  }

  /**
   * Why the container runtime does not call the plugin, and what to do. It is undefined if the runtime calls the
   * plugin, or may only need time.
   */
  get problem(): PluginProblem | undefined {
    const { missed } = this.#calls;
    return this.#installer.problem ?? (missed === undefined ? undefined : notCalled(this.#surroundings, missed));
  }

  /**
   * Returns the revision of the ztunnel that owns a pod (`namespace/name`), or undefined if the pod is not in the mesh.
   */
  ownerOf(key: string): string | undefined {
    return this.#enroller.ownerOf(key);
  }

  /** Reports this node's enrolled pods, to compare them with their state under another agent. */
  enrolled(version: string): EnrolledReport {
    return {
      node: this.#options.nodeName,
      version,
      ready: this.ready,
      ztunnels: [...new Set(this.#hub.links.map(({ revision }) => revision))],
      pods: this.#enroller.report(),
    };
  }

  async run(signal: AbortSignal): Promise<void> {
    const { pods, namespaces, nodes, paths } = this.#options;
    await Promise.race([Promise.all([pods.synced, namespaces.synced, nodes.synced]), aborted(signal)]);
    if (signal.aborted) return;
    // First exempt the probes of all pods that an earlier agent captured. Then handle the pods one by one.
    this.#probes.install(this.#capturedAddresses(pods.list()));
    this.#hub.listen(paths.ztunnelSocket, {
      connected: (link) => void this.#sendSnapshot(link),
      changed: () => this.#addAll(),
    });
    const watches = [
      pods.subscribe((change) => this.#onPod(change)),
      namespaces.subscribe((change) => this.#onNamespace(change)),
      nodes.subscribe((change) => this.#onNode(change)),
    ];
    const working = this.#reconciler.run(signal);
    await this.#plugin.listen();
    this.#ready = true;
    const installing = Promise.all([
      this.#installer.run(signal),
      this.#keepProbeRules(signal),
      this.#reportProblems(signal),
    ]);
    this.#log.info("CNI agent is ready", { node: this.#options.nodeName });
    await aborted(signal);
    for (const watch of watches) watch[Symbol.dispose]();
    await Promise.all([working, installing]);
    const end = await this.#options.whyEnds(this.#hub.links.map(({ revision }) => revision));
    if (end !== "restarted") this.#installer.unchain();
    this.#plugin.close();
    if (end === "uninstalled") await this.#leave();
    else if (end === "removed") this.#leavePods();
    this.#hub.close();
    this.#enroller.close();
    this.#probes.close();
  }

  async #reportProblems(signal: AbortSignal): Promise<void> {
    const { onProblem, log, clock } = this.#options;
    await reportProblems(
      { problem: () => this.problem, report: (problem) => onProblem?.(problem), log, clock },
      signal,
    );
  }

  async #keepProbeRules(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#options.clock.sleep(probeRulesMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      this.#attempt("the rules for the node's probes cannot be restored", {}, () => {
        if (this.#probes.restore())
          this.#log.warn("another program has removed the rules for the node's probes; they are written again");
      });
    }
  }

  /**
   * Returns the addresses of captured pods. It skips a pod that cannot be examined now. The enrolment of that pod,
   * which is retried, exempts its probes later.
   */
  #capturedAddresses(pods: readonly Pod[]): string[] {
    const found = new Set<string>();
    this.#attempt("the processes of this node cannot be listed", {}, () =>
      this.#finder.locate(pods.filter((pod) => pod.spec?.hostNetwork !== true && !isFinishedPod(pod))),
    );
    for (const pod of pods.filter(wasCaptured))
      this.#attempt(
        "a pod's addresses cannot be read yet",
        { ns: pod.metadata.namespace, name: pod.metadata.name },
        () => this.#finder.addressesOf(pod).forEach((address) => found.add(address)),
      );
    return [...found];
  }

  #attempt(problem: string, fields: Readonly<Record<string, string | undefined>>, work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#log.warn(problem, { ...fields, error: messageOf(error) });
    }
  }

  #addAll(): void {
    for (const key of this.#keys()) this.#reconciler.add(key);
  }

  #keys(): Set<string> {
    return new Set([
      ...this.#options.pods.list().map((pod) => `${pod.metadata.namespace ?? ""}/${pod.metadata.name ?? ""}`),
      ...this.#enroller.keys(),
    ]);
  }

  #onPod(change: InformerChange<Pod>): void {
    this.#noteStart(change);
    this.#metrics.podEvent(change.type === "delete" ? "delete" : change.previous === undefined ? "add" : "update");
    if (change.type === "delete") this.#onPodGone(change.object);
    else if (this.#options.settings.repair) this.#redirector.repair(change.object);
    this.#reconciler.add(change.key);
  }

  #noteStart(change: InformerChange<Pod>): void {
    if (!this.#options.plugin.chained) return;
    const appeared = change.type === "set" && change.previous === undefined;
    this.#calls.saw(
      {
        key: change.key,
        pod: change.object,
        change: change.type === "delete" ? "gone" : appeared ? "appeared" : "changed",
      },
      this.#installer.installedAtMs,
    );
  }

  #onPodGone(pod: Pod): void {
    this.#redirector.forget(pod.metadata.uid ?? "");
    // An earlier agent may have captured the pod, and the pod may have ended before this agent enrolled it. Then no
    // other code ends the exemption of its address.
    const held = new Set(this.#enroller.addresses());
    this.#probes.remove(addressesOf(pod).filter((address) => !held.has(address)));
  }

  /**
   * Handles a change of the Node. Only a change of its labels matters, because they decide which ztunnel owns its pods.
   */
  #onNode(change: InformerChange<Node>): void {
    if (change.type === "delete" || !jsonEqual(change.previous?.metadata.labels, change.object.metadata.labels))
      this.#addAll();
  }

  #onNamespace(change: InformerChange<Namespace>): void {
    const before = change.type === "set" ? change.previous : change.object;
    const after = change.type === "set" ? change.object : undefined;
    if (isAmbientNamespace(after) !== isAmbientNamespace(before)) {
      const state = isAmbientNamespace(after) ? "enabled in" : "disabled from";
      this.#log.info(`Namespace ${change.key} is ${state} ambient mesh`);
    }
    for (const key of this.#keys()) if (key.startsWith(`${change.key}/`)) this.#reconciler.add(key);
  }

  /**
   * Sends a new ztunnel all pods that it owns, and then the message that ends the snapshot. At that message, the
   * ztunnel drops pods that were not sent. So the agent also lets it keep pods that the agent cannot examine yet.
   */
  async #sendSnapshot(link: ZtunnelLink): Promise<void> {
    const work = [...this.#keys()].map(async (key) => {
      try {
        this.#again(key, await this.#reconcileKey(key, link));
      } catch {
        this.#reconciler.add(key);
      }
    });
    await Promise.all(work);
    try {
      if (link.isOpen) await link.request({ type: "snapshot-sent" });
    } catch (error) {
      this.#log.warn("a ztunnel did not accept its snapshot", { revision: link.revision, error: messageOf(error) });
    }
  }

  /**
   * Brings the pod with this key into its wanted state. Returns the time in milliseconds after which the pod must be
   * checked again, or undefined. `keeper` is a ztunnel that keeps the pod if no other ztunnel is known to serve it.
   */
  async #reconcileKey(key: string, keeper?: ZtunnelLink): Promise<number | undefined> {
    return await this.#locks.run(key, async () => {
      const pod = this.#options.pods.get(key);
      if (pod === undefined) {
        await this.#enroller.forget(key);
        return undefined;
      }
      const view = this.#view(pod);
      try {
        return await this.#enroller.reconcile(view);
      } finally {
        if (keeper !== undefined) await this.#enroller.keepWith(keeper, view);
      }
    });
  }

  #again(key: string, delayMs: number | undefined): void {
    if (delayMs !== undefined) this.#reconciler.addAfter(key, delayMs);
  }

  #view(pod: Pod): PodView {
    return {
      pod,
      namespace: this.#options.namespaces.get(pod.metadata.namespace ?? ""),
      node: this.#options.nodes.get(this.#options.nodeName),
    };
  }

  /**
   * Returns the pod of a plugin's request. The watch may not have delivered the pod yet, and may still show an earlier
   * pod of the same name. If the agent used an earlier pod that has failed, the new pod would start outside the mesh. A
   * static pod has another uid on its node than in the API, so the uid of the API's pod is not checked.
   */
  async #podOf({ podName, podNamespace, podUid }: PodAttachment): Promise<Pod> {
    const { pods, client } = this.#options;
    const key = `${podNamespace}/${podName}`;
    const watched = pods.get(key);
    const isOfRequest = podUid === "" || watched?.metadata.uid === podUid;
    const pod = isOfRequest && watched !== undefined ? watched : await client.get(podKind, podName, podNamespace);
    if (pod === undefined) throw transientError("object-missing", `there is no pod ${key}`);
    return pod;
  }

  async #add(attachment: PodAttachment): Promise<void> {
    const { podNamespace, podName, netnsPath, addresses, containerId } = attachment;
    if (this.#options.excludedNamespaces.includes(podNamespace)) return;
    const pod = await this.#podOf(attachment);
    const view = this.#view(pod);
    const namespace = view.namespace ?? (await this.#options.client.get(namespaceKind, podNamespace));
    if (this.#enroller.belongs({ pod, namespace }))
      await this.#hub.untilConnected(
        () => this.#enroller.hasZtunnel({ ...view, namespace }),
        this.#options.ztunnelWaitMs ?? defaultZtunnelWaitMs,
      );
    this.#redirector.start(pod, netnsPath);
    const start: PodStart = { netnsPath, addresses, containerId };
    const key = `${podNamespace}/${podName}`;
    this.#again(key, await this.#locks.run(key, () => this.#enroller.reconcile({ ...view, namespace }, start)));
  }

  async #check(attachment: PodAttachment): Promise<void> {
    const key = `${attachment.podNamespace}/${attachment.podName}`;
    this.#again(key, await this.#reconcileKey(key));
    const pod = this.#options.pods.get(key);
    if (pod !== undefined && this.#enroller.belongs(this.#view(pod)) && !this.#enroller.isCaptured(key))
      throw transientError("pod-not-captured", `the traffic of pod ${key} is not redirected to a ztunnel`);
  }

  async #delete({ podNamespace, podName, containerId }: PodAttachment): Promise<void> {
    const key = `${podNamespace}/${podName}`;
    await this.#locks.run(key, () => this.#enroller.forgetContainer(key, containerId));
  }

  #status(): Promise<void> {
    return this.#ready
      ? Promise.resolve()
      : Promise.reject(transientError("cni-failed", "the CNI agent is still starting"));
  }

  /**
   * Removes all files and rules of the agent from the node, for an uninstallation. The pods' traffic continues without
   * the mesh.
   */
  async #leave(): Promise<void> {
    this.#log.info("the agent is being uninstalled: it releases its pods and removes itself from the node");
    await this.#enroller.releaseAll(this.#options.pods.list());
    this.#probes.uninstall();
    this.#installer.removeProgram();
  }

  /**
   * Ends the agent without an uninstallation. The pods stay in the mesh: they keep their redirects and the exemption of
   * their probes.
   */
  #leavePods(): void {
    this.#log.warn("the agent's DaemonSet was deleted: its pods stay in the mesh, and new pods start outside of it", {
      pods: this.#enroller.size,
      hint: "install the agent again, or uninstall the mesh as docs/kubernetes.md describes",
    });
    this.#installer.removeProgram();
  }
}

function isReady(node: Node | undefined): boolean {
  return node?.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") === true;
}
