import type { ChildProcess } from "node:child_process";
import { closeSync, constants, writeSync } from "node:fs";
import { join } from "node:path";
import type { Pod } from "../../../api/kubernetes/index.ts";
import { SerinError, transientError, type Tree } from "../../../base/index.ts";
import { buildRootOf } from "../containers/container-root.ts";
import { noProgram, noRights, startInContainer } from "../containers/starter.ts";
import { closeDescriptor } from "../libc.ts";
import { inNewNamespaces } from "../namespaces.ts";
import { inDirectoryBelow, openFileBelow, readEndBelow } from "../place-below.ts";

const configPath = "etc/cni/net.d/10-lab.conflist";
const programDirectory = "/opt/cni/bin";
const interfaceName = "eth0";
const timeoutMs = 30_000;
const maxOutputBytes = 64 << 10;
const maxConfigBytes = 1 << 20;

/**
 * The plugin program of the node's own network. The node never runs it, because it makes the network itself. Programs
 * that search for the directory of the node's plugins find it by this file.
 */
const ownProgram = "#!/bin/sh\nexit 0\n";
/** The plugin type of the node's own network. Other plugins are chained after it. */
const ownType = "lab";
const ownNetwork = { cniVersion: "1.1.0", name: "lab", plugins: [{ type: ownType }] };

/** A pod with the network that the node has made, before the chained plugins run. */
export interface AttachedPod {
  readonly pod: Pod;
  /** The pid of the pod's first process. Its network namespace is that of the pod. */
  readonly initPid: number;
  readonly ip: string;
}

/** Runs the CNI plugins that are chained after the node's own network, as a container runtime does. */
export class NetworkAttachment {
  readonly #hostRoot: string;

  constructor(hostRoot: string) {
    this.#hostRoot = hostRoot;
  }

  /**
   * Writes the configuration file and the program of the node's network if they do not exist. An existing file stays,
   * because plugins may have been added to it. If a pod with a hostPath volume has put a link there, nothing is
   * written, and the node has no plugins.
   */
  prepare(): void {
    const root = this.#hostRoot;
    try {
      inDirectoryBelow({ root, path: join(root, programDirectory) }, { createMissing: true }, () => undefined);
    } catch (error) {
      if (!(error instanceof SerinError)) throw error;
    }
    this.#create(join(programDirectory, ownType), ownProgram, 0o755);
    this.#create(configPath, `${JSON.stringify(ownNetwork, undefined, 2)}\n`, 0o644);
  }

  #create(path: string, text: string, mode: number): void {
    const { O_CREAT, O_EXCL, O_WRONLY } = constants;
    const root = this.#hostRoot;
    try {
      const file = openFileBelow({ root, path: join(root, path) }, O_WRONLY | O_CREAT | O_EXCL, mode);
      writeSync(file, text);
      closeSync(file);
    } catch (error) {
      if (!(error instanceof SerinError) && (error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
  }

  get installed(): boolean {
    return this.#plugins().length > 0;
  }

  /**
   * Adds the pod to the network by all plugins. Throws a transient error with the plugin's message if a plugin fails.
   */
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

  /** The configurations of all plugins after the first. Each gets the name and version of the list. */
  #plugins(): Tree[] {
    let list: { readonly cniVersion?: string; readonly name?: string; readonly plugins?: readonly Tree[] };
    try {
      // Read the file like any file that a pod may have written: a pod with a hostPath volume can put a pipe there, and
      // a plain read would wait for the pipe's other end.
      const place = { root: this.#hostRoot, path: join(this.#hostRoot, configPath) };
      list = JSON.parse(readEndBelow(place, maxConfigBytes).toString("utf8")) as typeof list;
    } catch {
      return [];
    }
    const { cniVersion, name, plugins = [] } = list;
    return plugins.slice(1).map((plugin) => ({ ...plugin, cniVersion, name }));
  }

  /**
   * Runs a plugin with the node's root, so that it finds sockets at the same paths as on a real machine. A pod with a
   * hostPath volume may have written the plugin, so the plugin has no rights and sees no other files or processes.
   */
  async #run(command: string, { pod, initPid }: AttachedPod, configuration: Tree): Promise<string> {
    const type = String(configuration["type"]);
    const { name = "", namespace = "", uid = "" } = pod.metadata;
    const environment = {
      PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      CNI_COMMAND: command,
      CNI_CONTAINERID: `${uid}-${initPid}`,
      CNI_NETNS: `/proc/${initPid}/ns/net`,
      CNI_IFNAME: interfaceName,
      CNI_PATH: programDirectory,
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=${name};K8S_POD_UID=${uid}`,
    };
    const child = this.#start(join(programDirectory, type), environment);
    const limit = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
    try {
      return await new Promise((resolve, reject) => {
        let output = "";
        const collect = (chunk: string): void => void (output.length < maxOutputBytes && (output += chunk));
        child.stdout?.setEncoding("utf8").on("data", collect);
        // If the plugin does not exist, the starter writes its message to this stream.
        child.stderr?.setEncoding("utf8").on("data", collect);
        child.stdin?.on("error", () => undefined);
        child.once("error", (error) =>
          reject(transientError("cni-failed", `CNI plugin ${type} cannot be run: ${error.message}`)),
        );
        child.once("close", (code) => {
          if (code === 0) resolve(output);
          else reject(transientError("cni-failed", problemOf(type, code, output)));
        });
        child.stdin?.end(JSON.stringify(configuration));
      });
    } finally {
      clearTimeout(limit);
    }
  }

  #start(program: string, environment: Readonly<Record<string, string>>): ChildProcess {
    const mount = buildRootOf(this.#hostRoot);
    try {
      return inNewNamespaces({ pid: true }, () =>
        startInContainer({
          mount,
          rights: noRights,
          ownProc: undefined,
          ownsTerminal: false,
          argv: [program],
          environment,
          stdio: ["pipe", "pipe", "pipe"],
          exitDescriptor: undefined,
        }),
      );
    } finally {
      closeDescriptor(mount);
    }
  }
}

/**
 * The problem of a failed plugin, from its output. A missing program is reported in the words of other container
 * runtimes.
 */
function problemOf(type: string, code: number | null, output: string): string {
  return code === noProgram
    ? `failed to find plugin "${type}" in path [${programDirectory}]`
    : `CNI plugin ${type} failed: ${wordsOf(output)}`;
}

/** The message in a CNI error. If the text is not a CNI error, returns it unchanged. */
function wordsOf(output: string): string {
  try {
    const { msg, details } = JSON.parse(output) as { readonly msg?: string; readonly details?: string };
    return [msg, details].filter((text) => text !== undefined && text !== "").join("; ");
  } catch {
    return output.trim();
  }
}
