// A ztunnel (Istio's or Serin's) as a plain process of node-a, and the CNI agent's end of its socket.
import { spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { endsWithThis } from "../../../scripts/lab/ends-with-this.ts";
import type { NetworkNamespace } from "../../../src/net/index.ts";
import { PlayedAgent } from "../../../src/ztunnel/testing/played-agent.ts";
import { serin } from "../../support/lab-cluster.ts";

export interface ZtunnelProcessOptions {
  /** The path of Istio's program. Undefined for Serin's own. */
  readonly program: string | undefined;
  readonly directory: string;
  /** A token of the account `ztunnel` that is bound to a pod of node-a. */
  readonly token: string;
  readonly root: string;
  readonly onDemand?: boolean;
}

const controlPlane = "https://istiod.istio-system.svc:15012";
/** The ports of Istio's ztunnel cannot be changed, so Serin's has these. */
const ownPorts = { ADMIN_PORT: "25000", STATS_PORT: "25020", READINESS_PORT: "25021" };
const readyTimeoutMs = 30_000;
const lookMs = 50;

export class ZtunnelProcess {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #adminPort: number;
  readonly #readinessPort: number;
  readonly #output: string[] = [];
  readonly #agent: PlayedAgent;

  constructor({ program, directory, token, root, onDemand = false }: ZtunnelProcessOptions) {
    this.name = program === undefined ? "serin" : "upstream";
    const own = join(directory, `ztunnel-${this.name}${onDemand ? "-on-demand" : ""}`);
    mkdirSync(own, { recursive: true });
    const files = { token: join(own, "token"), root: join(own, "root.pem"), socket: join(own, "zds") };
    writeFileSync(files.token, token);
    writeFileSync(files.root, root);
    this.#agent = PlayedAgent.listen(files.socket);
    this.#adminPort = program === undefined ? Number(ownPorts.ADMIN_PORT) : 15_000;
    this.#readinessPort = program === undefined ? Number(ownPorts.READINESS_PORT) : 15_021;
    this.#child = spawn(...endsWithThis(...(program === undefined ? [serin, "ztunnel"] : [program, "proxy"])), {
      cwd: own,
      env: {
        PATH: process.env["PATH"],
        NODE_NAME: "node-a",
        POD_NAME: "ztunnel-1",
        POD_NAMESPACE: "istio-system",
        SERVICE_ACCOUNT: "ztunnel",
        INSTANCE_IP: "10.244.1.7",
        CLUSTER_ID: "Kubernetes",
        XDS_ADDRESS: controlPlane,
        CA_ADDRESS: controlPlane,
        XDS_ROOT_CA: files.root,
        CA_ROOT_CA: files.root,
        AUTH_TOKEN: files.token,
        INPOD_UDS: files.socket,
        XDS_ON_DEMAND: String(onDemand),
        RUST_LOG: "info",
        ISTIO_META_DNS_CAPTURE: "false",
        ...(program === undefined ? ownPorts : {}),
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on("data", (data: Buffer) => {
        this.#output.push(data.toString());
        if (process.env["INTEROP_LOGS"] !== undefined) process.stderr.write(data);
      });
    }
  }

  get text(): string {
    return this.#output.join("");
  }

  /** Resolves when the ztunnel is ready: it then has its configuration and the agent's list of pods. */
  async ready(): Promise<void> {
    await this.#agent.send({ type: "snapshot-sent" });
    const deadline = Date.now() + readyTimeoutMs;
    while (
      (await fetch(`http://127.0.0.1:${this.#readinessPort}/healthz/ready`).catch(() => undefined))?.status !== 200
    ) {
      if (this.#child.exitCode !== null || Date.now() > deadline)
        throw new Error(`the ztunnel of ${this.name} is not ready: ${this.text.slice(-2000)}`);
      await new Promise((resolve) => setTimeout(resolve, lookMs));
    }
  }

  async add(
    uid: string,
    pod: { readonly namespace: string; readonly name: string; readonly serviceAccount: string },
    network: NetworkNamespace,
  ): Promise<void> {
    const answer = await this.#agent.send({ type: "add", uid, workload: pod, listeners: [], handedOver: false }, [
      network.fd,
    ]);
    if (answer.error !== "") throw new Error(`the ztunnel of ${this.name} does not take ${pod.name}: ${answer.error}`);
  }

  async dump(): Promise<ZtunnelDump> {
    return (await (await fetch(`http://127.0.0.1:${this.#adminPort}/config_dump`)).json()) as ZtunnelDump;
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGKILL");
    await ended;
  }
}

/** What is compared of the config dump at the admin port. */
export interface ZtunnelDump {
  readonly workloads: readonly {
    readonly uid: string;
    readonly name: string;
    readonly namespace: string;
    readonly protocol: string;
  }[];
  readonly services: readonly {
    readonly hostname: string;
    readonly namespace: string;
    readonly vips: readonly string[];
  }[];
  readonly policies: readonly { readonly name: string; readonly namespace: string }[];
  readonly certificates: readonly { readonly identity: string; readonly state: string }[];
}
