// Two nodes with kubelet, containerd, runc and kube-proxy, a control plane, CoreDNS and a load balancer, all in the
// run's namespaces.
import { appendFileSync, existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { Lab } from "../../scripts/demo/lab.ts";
import { nodeKind, deploymentKind } from "../../src/api/kubernetes/index.ts";
import { eventually } from "../support/eventually.ts";
import { writeBaseImages } from "./base-images.ts";
import { addonObjects } from "./cluster-addons.ts";
import { writeCertificates } from "./cluster-certificates.ts";
import {
  apiServer,
  clusterFiles,
  nodeNumbers,
  programsOf,
  type ClusterFiles,
  type NodeNumber,
  type Programs,
} from "./cluster-layout.ts";
import { ClusterNode } from "./cluster-node.ts";
import { ControlPlane } from "./control-plane.ts";
import type { Surroundings } from "./isolation.ts";
import { runLoadBalancer } from "./load-balancer.ts";
import { createNetwork } from "./network.ts";
import { outcomeOf, type CommandOptions, type Ran } from "./run-command.ts";

export const root = join(import.meta.dirname, "../..");
const readyTimeoutMs = 300_000;

export interface RealClusterOptions {
  readonly surroundings: Surroundings;
  /** Of Kubernetes, such as `1.36.3`. */
  readonly version: string;
  readonly note: (text: string) => void;
}

export interface AskingPod {
  readonly namespace: string;
  /** The pod's name, or `deploy/NAME` for a pod of a Deployment. */
  readonly pod: string;
  readonly seconds?: number;
  readonly withHead?: boolean;
}

/**
 * The command line for a GET in a pod. `timeout` limits its time, because Debian's static busybox crashes in our images
 * with wget's own `-T` (exit code 139).
 */
export function boundedGet(url: string, seconds: number, withHead = false): string[] {
  return ["timeout", String(seconds), "wget", withHead ? "-qSO-" : "-qO-", url];
}

export class RealCluster {
  readonly files: ClusterFiles;
  readonly controlPlane: ControlPlane;
  readonly nodes: Readonly<Record<NodeNumber, ClusterNode>>;
  readonly #programs: Programs;
  readonly #note: (text: string) => void;
  readonly #ending = new AbortController();
  #api: Lab | undefined;

  constructor({ surroundings, version, note }: RealClusterOptions) {
    this.files = clusterFiles(surroundings.scratch);
    this.#programs = programsOf(root, version);
    this.#note = note;
    this.controlPlane = new ControlPlane(this.files, this.#programs, surroundings.cgroup);
    const node = (number: NodeNumber): ClusterNode =>
      new ClusterNode(number, this.files, this.#programs, surroundings.cgroup);
    this.nodes = { 1: node(1), 2: node(2) };
  }

  get api(): Lab {
    if (this.#api === undefined) throw new Error("the cluster is not there yet");
    return this.#api;
  }

  get kubeconfig(): string {
    return join(this.files.kubeconfigs, "admin.conf");
  }

  /** Resolves when both nodes are ready and DNS answers. */
  async create(): Promise<void> {
    this.#requirePrograms();
    for (const directory of [this.files.logs, this.files.reports])
      mkdirSync(directory, { recursive: true, mode: 0o777 });
    writeCertificates(this.files);
    createNetwork();
    this.controlPlane.start("etcd");
    this.controlPlane.start("kube-apiserver");
    const images = writeBaseImages(join(this.files.scratch, "images"), this.#programs.coredns);
    await Promise.all([this.apiServerReady(), ...nodeNumbers.map(async (number) => await this.nodes[number].start())]);
    this.#note("the API server and both containerds answer");
    for (const program of ["kube-controller-manager", "kube-scheduler"] as const) this.controlPlane.start(program);
    this.#api = await Lab.connect(this.kubeconfig);
    await Promise.all([this.api.apply(addonObjects()), this.load(images)]);
    void runLoadBalancer(this.api.client, this.#ending.signal);
    await this.nodesReady();
    await this.available("kube-system");
  }

  async load(archive: string): Promise<void> {
    await Promise.all(nodeNumbers.map(async (number) => await this.nodes[number].load(archive)));
  }

  async apiServerReady(): Promise<void> {
    const { pki } = this.files;
    const tls = ["--cacert", `${pki}/ca.crt`, "--cert", `${pki}/admin.crt`, "--key", `${pki}/admin.key`];
    await eventually(
      "the API server is ready",
      async () => (await outcomeOf(["curl", "-sf", "-m", "3", ...tls, `${apiServer}/readyz`])).code === 0,
      readyTimeoutMs,
    );
  }

  async nodesReady(): Promise<void> {
    await eventually(
      "both nodes are ready",
      async () => {
        const { items } = await this.api.client.list(nodeKind);
        const ready = items.filter(({ status }) =>
          status?.conditions?.some(({ type, status: state }) => type === "Ready" && state === "True"),
        );
        return ready.length === nodeNumbers.length;
      },
      readyTimeoutMs,
    );
  }

  async available(namespace: string, timeoutMs = readyTimeoutMs): Promise<void> {
    await eventually(
      `every Deployment of ${namespace} is available`,
      async () => {
        const { items } = await this.api.client.list(deploymentKind, { namespace });
        return items.every(
          ({ metadata, spec, status }) =>
            status?.observedGeneration === metadata.generation &&
            (status?.updatedReplicas ?? 0) >= (spec?.replicas ?? 1) &&
            (status?.availableReplicas ?? 0) >= (spec?.replicas ?? 1) &&
            (status?.replicas ?? 0) === (spec?.replicas ?? 1),
        );
      },
      timeoutMs,
    );
  }

  get programs(): string {
    return this.#programs.kubernetes;
  }

  get environment(): NodeJS.ProcessEnv {
    return {
      KUBECONFIG: this.kubeconfig,
      HOME: this.files.scratch,
      PATH: `${this.programs}:${process.env["PATH"] ?? ""}`,
    };
  }

  /**
   * Runs a program in the client's network, with the administrator's kubeconfig. Logs its times, so that a failed
   * request can be compared with what ran at that time.
   */
  async run(command: readonly string[], options: CommandOptions = {}): Promise<Ran> {
    const begun = new Date().toISOString();
    const ran = await outcomeOf(command, { ...options, env: { ...this.environment, ...options.env } });
    const line = `${begun} to ${new Date().toISOString()}: ${command.join(" ")} ended with ${ran.code}\n`;
    appendFileSync(join(this.files.logs, "commands.log"), line);
    return ran;
  }

  async ok(command: readonly string[], options: CommandOptions = {}): Promise<string> {
    const { code, output } = await this.run(command, options);
    if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}:\n${output}`);
    return output;
  }

  async kubectl(...args: readonly string[]): Promise<string> {
    return await this.ok(["kubectl", ...args]);
  }

  /** Deletes namespaces, and waits until they are gone. The error says what holds one that stays. */
  async deleteNamespaces(...names: readonly string[]): Promise<void> {
    const deletion = ["kubectl", "delete", "namespace", ...names, "--ignore-not-found", "--timeout=150s"];
    const { code, output } = await this.run(deletion);
    if (code === 0) return;
    const conditions = "{range .status.conditions[?(@.status=='True')]} {.message}{end}";
    const everyNamespace = `jsonpath={range .items[*]}{.metadata.name}:${conditions}{'\\n'}{end}`;
    const lines = (await this.kubectl("get", "namespaces", "-o", everyNamespace)).split("\n");
    const held = lines.filter((line) => names.some((name) => line.startsWith(`${name}:`)));
    throw new Error(`${deletion.join(" ")} ended with ${code}:\n${output}\n${held.join("\n")}`);
  }

  /** Sends a GET from a pod that has busybox. Returns the output and exit code of wget. */
  async ask({ namespace, pod, seconds = 4, withHead = false }: AskingPod, url: string): Promise<Ran> {
    return await this.run(["kubectl", "exec", "-n", namespace, pod, "--", ...boundedGet(url, seconds, withHead)]);
  }

  /** As {@link ask}, but throws if there is no answer. */
  async answer(from: AskingPod, url: string): Promise<string> {
    const { code, output } = await this.ask(from, url);
    if (code !== 0) throw new Error(`${from.pod} of ${from.namespace} got no answer from ${url} (${code}): ${output}`);
    return output;
  }

  async serin(...args: readonly string[]): Promise<string> {
    return await this.ok([join(root, "bin/serin"), ...args], { timeoutMs: 400_000 });
  }

  /** Ends the work of this process. The end of the namespaces ends everything else. */
  close(): void {
    this.#ending.abort();
  }

  #requirePrograms(): void {
    const { kubernetes, etcd, containerd, coredns } = this.#programs;
    for (const path of [
      join(kubernetes, "kubelet"),
      join(kubernetes, "kubectl"),
      etcd,
      join(containerd, "containerd"),
      coredns,
    ])
      if (!existsSync(path)) throw new Error(`${path} is missing: scripts/fetch/kubernetes.sh builds it`);
    for (const path of ["/usr/sbin/runc", "/usr/lib/cni/ptp", "/bin/busybox", "/usr/sbin/conntrack"])
      if (!existsSync(path))
        throw new Error(
          `${path} is missing: apt-get install runc containernetworking-plugins iptables nftables conntrack socat ipset busybox-static`,
        );
  }
}
