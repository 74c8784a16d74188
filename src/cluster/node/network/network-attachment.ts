import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Pod } from "../../../api/kubernetes/index.ts";
import { transientError } from "../../../base/index.ts";
import { readEndBelow } from "../place-below.ts";

const configPath = "etc/cni/net.d/10-lab.conflist";
const programDirectory = "/opt/cni/bin";
const interfaceName = "eth0";
const timeoutMs = 30_000;
const maxOutputBytes = 64 << 10;
const maxConfigBytes = 1 << 20;

/** The node's own network, which the runtime makes itself. Other plugins are chained behind it. */
const ownNetwork = { cniVersion: "1.1.0", name: "lab", plugins: [{ type: "lab" }] };

type Fields = Readonly<Record<string, unknown>>;

/** A pod with the network that the runtime has made, before the chained plugins run. */
export interface AttachedPod {
  readonly pod: Pod;
  /** The pod's first process, whose network namespace is the pod's. */
  readonly initPid: number;
  readonly ip: string;
}

/** Runs the CNI plugins that are chained behind the node's own network, as a container runtime does. */
export class NetworkAttachment {
  readonly #hostRoot: string;

  constructor(hostRoot: string) {
    this.#hostRoot = hostRoot;
  }

  /**
   * Writes the network's configuration file if it does not exist. An existing file stays, because plugins may have been
   * added to it.
   */
  prepare(): void {
    const path = join(this.#hostRoot, configPath);
    mkdirSync(dirname(path), { recursive: true });
    mkdirSync(join(this.#hostRoot, programDirectory), { recursive: true });
    try {
      writeFileSync(path, `${JSON.stringify(ownNetwork, undefined, 2)}\n`, { flag: "wx" });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
  }

  get installed(): boolean {
    return this.#plugins().length > 0;
  }

  /** Adds the pod. Throws a transient error with the plugin's message if a plugin fails. */
  async add(attached: AttachedPod): Promise<void> {
    let prevResult: unknown = {
      interfaces: [{ name: interfaceName, sandbox: `/proc/${attached.initPid}/ns/net` }],
      ips: [{ address: `${attached.ip}/32`, interface: 0 }],
    };
    for (const plugin of this.#plugins())
      prevResult = JSON.parse(await this.#run("ADD", attached, { ...plugin, prevResult }));
  }

  async remove(attached: AttachedPod): Promise<void> {
    for (const plugin of this.#plugins().toReversed()) await this.#run("DEL", attached, plugin);
  }

  /** The configurations of all plugins after the first, with the list's name and version. */
  #plugins(): Fields[] {
    let list: { readonly cniVersion?: string; readonly name?: string; readonly plugins?: readonly Fields[] };
    try {
      // A pod with a hostPath volume can put a pipe there, for whose other end a plain read would wait.
      const place = { root: this.#hostRoot, path: join(this.#hostRoot, configPath) };
      list = JSON.parse(readEndBelow(place, maxConfigBytes).toString("utf8")) as typeof list;
    } catch {
      return [];
    }
    const { cniVersion, name, plugins = [] } = list;
    return plugins.slice(1).map((plugin) => ({ ...plugin, cniVersion, name }));
  }

  /** Runs a plugin with the node's root, so that it finds sockets at the same paths as on a real machine. */
  #run(command: string, { pod, initPid }: AttachedPod, configuration: Fields): Promise<string> {
    const type = String(configuration["type"]);
    const { name = "", namespace = "", uid = "" } = pod.metadata;
    const env = {
      PATH: process.env["PATH"],
      CNI_COMMAND: command,
      CNI_CONTAINERID: `${uid}-${initPid}`,
      CNI_NETNS: `/proc/${initPid}/ns/net`,
      CNI_IFNAME: interfaceName,
      CNI_PATH: programDirectory,
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=${name};K8S_POD_UID=${uid}`,
    };
    return new Promise((resolve, reject) => {
      const child = spawn("unshare", ["--root", this.#hostRoot, join(programDirectory, type)], {
        env,
        stdio: ["pipe", "pipe", "pipe"],
        timeout: timeoutMs,
        cwd: "/",
      });
      let output = "";
      const collect = (chunk: string): void => void (output.length < maxOutputBytes && (output += chunk));
      child.stdout.setEncoding("utf8").on("data", collect);
      // Programs in between report here if the plugin does not exist.
      child.stderr.setEncoding("utf8").on("data", collect);
      child.stdin.on("error", () => undefined);
      child.once("error", (error) =>
        reject(transientError("cni-failed", `CNI plugin ${type} cannot be run: ${error.message}`)),
      );
      child.once("close", (code) => {
        if (code === 0) resolve(output);
        else reject(transientError("cni-failed", `CNI plugin ${type} failed: ${wordsOf(output)}`));
      });
      child.stdin.end(JSON.stringify(configuration));
    });
  }
}

/** The message of a CNI error, or the text unchanged. */
function wordsOf(output: string): string {
  try {
    const { msg, details } = JSON.parse(output) as { readonly msg?: string; readonly details?: string };
    return [msg, details].filter((text) => text !== undefined && text !== "").join("; ");
  } catch {
    return output.trim();
  }
}
