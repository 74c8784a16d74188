// The environment of the CNI agent's tests: a node, an agent on it, fake ztunnels, and a fake cluster that they share.
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, type TestContext } from "node:test";
import type { Pod } from "../../api/kubernetes/index.ts";
import type { EnrolledPodReport } from "../../api/serin/index.ts";
import { createLogger, systemClock, type Clock } from "../../base/index.ts";
import { MetricsRegistry } from "../../telemetry/index.ts";
import type { AgentEnd } from "../agent-end.ts";
import { CniAgent, type CniAgentSettings } from "../cni-agent.ts";
import { FakeCluster } from "./fake-cluster.ts";
import { askOnce, TestNode, type TestPodHost } from "./test-node.ts";

export const redirection = "ambient.istio.io/redirection";
export const owner = "serin.dev/ztunnel-owner";
export const revisionLabel = "serin.dev/ztunnel-rev";
const children = new Set<ChildProcess>();
after(() => {
  for (const child of children) child.kill("SIGKILL");
});

export const clusterNetwork = `${JSON.stringify({ cniVersion: "1.0.0", name: "pods", plugins: [{ type: "ptp" }] }, undefined, 2)}\n`;

type ZtunnelEvent = Readonly<Record<string, unknown>> & { readonly event: string };

/** A process with a fake ztunnel, and the events that it prints. */
export class ZtunnelProcess {
  readonly events: ZtunnelEvent[] = [];
  readonly #child: ChildProcess;

  constructor(socket: string, name: string, revision = "", refusals = 0) {
    const program = join(import.meta.dirname, "fake-ztunnel.ts");
    this.#child = spawn(process.execPath, [program, socket, name, revision, String(refusals)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    children.add(this.#child);
    const { stdout } = this.#child;
    assert.ok(stdout !== null);
    createInterface({ input: stdout }).on("line", (line) => this.events.push(JSON.parse(line) as ZtunnelEvent));
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await once(this.#child, "exit");
    children.delete(this.#child);
  }

  /** Returns how many agents have sent this ztunnel a complete snapshot of its pods. */
  snapshots(): number {
    return this.events.filter(({ event }) => event === "snapshot-sent").length;
  }

  connections(): string[] {
    return this.events
      .filter((event) => event.event === "connection")
      .map((event) => `${String(event["role"])} ${String(event["source"])} ${String(event["destination"])}`);
  }
}

/** One node, an agent on it, and the fake cluster that the agent uses. */
export class Rig {
  readonly node = new TestNode();
  readonly cluster = new FakeCluster();
  readonly directory = mkdtempSync(join(tmpdir(), "serin-cni-"));
  readonly socket = join(this.directory, "ztunnel.sock");
  readonly lines: string[] = [];
  registry = new MetricsRegistry();
  #agent: CniAgent | undefined;
  #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();
  end: AgentEnd = "restarted";
  clock: Clock = systemClock;
  hostProc = "/proc";
  ztunnelWaitMs = 50;
  settings: CniAgentSettings = { ambient: true, dnsCapture: true, ipv6: true, repair: true };

  constructor(context: TestContext) {
    context.after(async () => {
      try {
        await this.stopAgent();
      } finally {
        this.node.close();
        rmSync(this.directory, { recursive: true, force: true });
      }
    });
    mkdirSync(join(this.directory, "net.d"));
    mkdirSync(join(this.directory, "bin"));
    writeFileSync(join(this.directory, "bin/ptp"), "");
    writeFileSync(join(this.directory, "net.d/10-ptp.conflist"), clusterNetwork);
    this.cluster.namespaces.set({ metadata: { name: "default", labels: { "istio.io/dataplane-mode": "ambient" } } });
    this.cluster.nodes.set({ metadata: { name: "worker" } });
  }

  startAgent(): void {
    const log = createLogger({ scope: "cni", level: "debug", write: (line) => void this.lines.push(line) });
    this.#stop = new AbortController();
    this.registry = new MetricsRegistry();
    this.#agent = new CniAgent({
      nodeName: "worker",
      excludedNamespaces: [],
      settings: this.settings,
      paths: {
        hostProc: this.hostProc,
        pluginSocket: join(this.directory, "plugin.sock"),
        ztunnelSocket: this.socket,
        cniBinDirectory: join(this.directory, "bin"),
        cniConfDirectory: join(this.directory, "net.d"),
      },
      plugin: {
        socketPath: join(this.directory, "plugin.sock"),
        architecture: process.arch,
        folders: { programs: "/opt/cni/bin", configuration: "/etc/cni/net.d" },
        chained: true,
      },
      client: this.cluster.client,
      pods: this.cluster.pods,
      namespaces: this.cluster.namespaces,
      nodes: this.cluster.nodes,
      hostNamespaceFd: this.node.namespace.fd,
      ztunnelWaitMs: this.ztunnelWaitMs,
      whyEnds: () => Promise.resolve(this.end),
      log,
      clock: this.clock,
      registry: this.registry,
    });
    this.#running = this.#agent.run(this.#stop.signal);
  }

  /** Shows the machine's processes to the agent until {@link hideProcesses}. Call it before the agent starts. */
  showProcesses(): void {
    this.hostProc = join(this.directory, "proc");
    rmSync(this.hostProc, { recursive: true, force: true });
    symlinkSync("/proc", this.hostProc);
  }

  /** Hides the processes from the agent until {@link showProcesses} is called. Meanwhile the agent finds no pod. */
  hideProcesses(): void {
    rmSync(this.hostProc);
    mkdirSync(this.hostProc);
  }

  enrolledPods(): readonly EnrolledPodReport[] {
    return this.#agent?.enrolled("1.0.0").pods ?? [];
  }

  async stopAgent(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  pod(
    name: string,
    host: TestPodHost,
    labels: Readonly<Record<string, string>> = {},
    otherAddresses: readonly string[] = [],
  ): string {
    const addresses = [host.address, ...otherAddresses];
    const pod: Pod = {
      metadata: {
        name,
        namespace: "default",
        uid: `uid-${name}`,
        labels,
        annotations: { "lab.serin.dev/init-pid": String(host.initPid) },
      },
      spec: { containers: [], serviceAccountName: name },
      status: { phase: "Running", podIP: host.address, podIPs: addresses.map((ip) => ({ ip })) },
    };
    this.cluster.pods.set(pod);
    return `default/${name}`;
  }

  async enrolled(...keys: readonly string[]): Promise<void> {
    await Promise.all(
      keys.map((key) => this.cluster.until(key, (pod) => pod?.metadata.annotations?.[redirection] === "enabled")),
    );
  }

  /** Runs the plugin's program, as a container runtime does. */
  async plugin(
    command: string,
    pod: { readonly name: string; readonly host: TestPodHost; readonly containerId?: string },
    configuration: Readonly<Record<string, unknown>> = {},
  ): Promise<{ readonly code: number | null; readonly output: Readonly<Record<string, unknown>> | undefined }> {
    const child = spawn(join(this.directory, "bin/serin-cni"), [], {
      env: {
        CNI_COMMAND: command,
        CNI_CONTAINERID: pod.containerId ?? `sandbox-of-${pod.name}`,
        CNI_NETNS: `/proc/${pod.host.initPid}/ns/net`,
        CNI_IFNAME: "eth0",
        CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=${pod.name};K8S_POD_UID=uid-${pod.name}`,
      },
      stdio: ["pipe", "pipe", "inherit"],
    });
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    child.stdin.end(JSON.stringify({ cniVersion: "1.0.0", name: "pods", type: "serin-cni", ...configuration }));
    const [code] = (await once(child, "close")) as [number | null];
    return { code, output: text === "" ? undefined : (JSON.parse(text) as Record<string, unknown>) };
  }
}

/** Returns the result of the earlier plugins for a pod. */
export function resultOf(host: TestPodHost): { readonly prevResult: Readonly<Record<string, unknown>> } {
  return {
    prevResult: {
      cniVersion: "1.0.0",
      interfaces: [{ name: "eth0", sandbox: `/proc/${host.initPid}/ns/net` }],
      ips: [{ address: `${host.address}/32`, interface: 0 }],
      dns: {},
    },
  };
}

/**
 * Sends requests over new connections until it is stopped or the test ends. `stop` returns the answers and the errors.
 */
export function connectionLoop(
  context: TestContext,
  from: TestPodHost,
  to: string,
  port: number,
): { stop(): Promise<{ answers: string[]; faults: string[] }> } {
  const stop = new AbortController();
  context.after(() => stop.abort());
  const answers: string[] = [];
  const faults: string[] = [];
  const lanes = Array.from({ length: 4 }, async () => {
    while (!stop.signal.aborted) {
      try {
        answers.push(await askOnce(from.namespace.fd, to, port));
      } catch (error) {
        faults.push(String(error));
      }
    }
  });
  return {
    stop: async () => {
      stop.abort();
      await Promise.all(lanes);
      return { answers, faults };
    },
  };
}
