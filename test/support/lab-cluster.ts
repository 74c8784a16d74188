// A lab cluster for an end-to-end test, in its own HOME, driven by real programs in a real shell.
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { shellCommand, type ShellCommand } from "../../src/cluster/lifecycle/cluster-shell.ts";
import { processesOf, type MachineProcess } from "./processes.ts";

export const root = join(import.meta.dirname, "../..");
export const serin = join(root, "bin/serin");

export interface Ran {
  readonly code: number;
  /** Standard output and standard error, in the order in which they came. */
  readonly output: string;
}

export interface RunOptions {
  readonly input?: string;
  readonly timeoutMs?: number;
  /** Variables to add to the cluster's own environment. */
  readonly env?: NodeJS.ProcessEnv;
}

export interface LabClusterOptions {
  /** The user that everything runs as, who must be able to read the release. If absent, the test's own user. */
  readonly uid?: number;
  /** The release tree. If absent, the one that SERIN_LAB_RELEASE names. Without that variable, this checkout. */
  readonly releaseRoot?: string;
}

/**
 * The default timeout of a command. It is longer than a cluster's own limits, and longer than the limits that tests
 * give to kubectl.
 */
const defaultTimeoutMs = 400_000;

export interface SpawnOptions {
  readonly env?: NodeJS.ProcessEnv | undefined;
  /** Whether standard input stays open. */
  readonly input?: boolean;
}

/** Runs programs on the test's machine, outside a cluster. */
export abstract class ProgramRunner {
  abstract spawn(command: readonly string[], options?: SpawnOptions): ChildProcess;

  /** Runs a program to its end. */
  async run(command: readonly string[], { input, timeoutMs = defaultTimeoutMs, env }: RunOptions = {}): Promise<Ran> {
    const child = this.spawn(command, { env, input: input !== undefined });
    child.stdin?.end(input);
    return await outcome(child, timeoutMs);
  }

  /** Runs a program that must succeed, and returns its output. */
  async ok(command: readonly string[], input?: string): Promise<string> {
    const { code, output } = await this.run(command, input === undefined ? {} : { input });
    assert.equal(code, 0, `${command.join(" ")}\n${output}`);
    return output;
  }
}

export class LabCluster extends ProgramRunner {
  readonly name: string;
  /** The directory in which the shell's commands run. */
  readonly directory: string;
  /** The path of `serin` in the cluster's release. */
  readonly serin: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #user: { readonly uid: number; readonly gid: number } | undefined;
  readonly #home: string;
  #hasShell = false;
  readonly #sweeper: ChildProcess;

  constructor(name: string, { uid, releaseRoot = process.env["SERIN_LAB_RELEASE"] ?? root }: LabClusterOptions = {}) {
    super();
    this.name = name;
    this.serin = join(releaseRoot, "bin/serin");
    this.#user = uid === undefined ? undefined : { uid, gid: uid };
    this.#home = mkdtempSync(join(tmpdir(), "serin-e2e-"));
    chmodSync(this.#home, 0o755);
    this.directory = join(this.#home, "work");
    mkdirSync(this.directory);
    // Every process of this lab inherits the marked PATH, which distinguishes it from the processes of other labs.
    const path = `${process.env["PATH"] ?? ""}:${join(this.#home, "marked")}`;
    const bare = { PATH: path, HOME: this.#home, XDG_STATE_HOME: join(this.#home, "state") };
    this.#env =
      uid === undefined
        ? { ...process.env, ...bare, KUBECONFIG: join(this.#home, ".kube/config"), SERIN_CLUSTER: name }
        : bare;
    if (uid !== undefined) for (const path of [this.#home, this.directory]) chownSync(path, uid, uid);
    this.#sweeper = this.#startSweeper();
  }

  /** Creates the cluster. The config is kind's YAML. */
  async create(config?: string, flags: readonly string[] = []): Promise<Ran> {
    const words = [...(config === undefined ? ["--name", this.name] : ["--config", "-"]), ...flags];
    return await this.run([this.serin, "cluster", "create", ...words], config === undefined ? {} : { input: config });
  }

  /** Creates the cluster with a single node, for tests that do not need a second one. */
  async createOneNode(): Promise<Ran> {
    return await this.create(
      `kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: ${this.name}\nnodes: [{role: control-plane}]\n`,
    );
  }

  /** Creates the cluster with two nodes that both run pods, for tests of connections between nodes. */
  async createTwoNodes(): Promise<Ran> {
    const created = await this.create(undefined, ["--workers", "1"]);
    if (created.code === 0)
      await this.ok([
        "kubectl",
        "taint",
        "nodes",
        `${this.name}-control-plane`,
        "node-role.kubernetes.io/control-plane-",
      ]);
    return created;
  }

  /** Makes this tree known to the lab as the release of another version. */
  async addRelease(version: string): Promise<void> {
    const directory = join(this.#home, `release-${version}`);
    await this.ok([serin, "release", "build", directory, "--version", version]);
    await this.ok([serin, "release", "add", directory, "--name", this.name]);
  }

  /** Starts a program on the machine, outside the lab. With `input`, its standard input stays open. */
  spawn(command: readonly string[], { env, input = false }: SpawnOptions = {}): ChildProcess {
    const [program = "", ...args] = command;
    return spawn(program, args, {
      ...this.#user,
      cwd: this.directory,
      env: { ...this.#env, ...env },
      stdio: [input ? "pipe" : "ignore", "pipe", "pipe"],
    });
  }

  /** The cluster's state directory. */
  get stateDirectory(): string {
    return join(this.#home, "state/serin/clusters", this.name);
  }

  /** Whether the kubeconfig has the cluster's context. */
  hasContext(): boolean {
    const path = join(this.#home, ".kube/config");
    return existsSync(path) && readFileSync(path, "utf8").includes(`kind-${this.name}`);
  }

  /** All processes of the machine that belong to clusters made with this HOME. */
  processes(): MachineProcess[] {
    return processesOf(join(this.#home, "marked"));
  }

  /**
   * The cluster's processes of one role. Its name is that in Serin's command line, such as `cluster-apiserver` or
   * `pilot`.
   */
  ofRole(role: string): MachineProcess[] {
    return this.processes().filter(
      ({ words }) =>
        words.some((word, index) => /\/cmd\/main\.[jt]s$/.test(word) && words[index + 1] === role) &&
        words[0]?.endsWith("/node") === true,
    );
  }

  /**
   * Runs a line in the lab's host namespace, as a person would type it into bash there. The first line uses `serin
   * cluster shell`. The others enter the same namespaces directly, which saves a start of Node for each.
   */
  async shell(line: string, options: RunOptions = {}): Promise<Ran> {
    const { input, timeoutMs = defaultTimeoutMs, env } = options;
    const entered = this.#entered(["bash", "-c", line], env);
    if (entered === undefined) {
      const command = [this.serin, "cluster", "shell", "--name", this.name, "--", "bash", "-c", line];
      const ran = await this.run(command, options);
      this.#hasShell = ran.code === 0;
      return ran;
    }
    const child = spawn(entered.program, entered.args, {
      cwd: this.directory,
      env: entered.env,
      stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
    });
    child.stdin?.end(input);
    return await outcome(child, timeoutMs);
  }

  /**
   * The command in the form in which the lab's shell starts it. Undefined before the first line has entered, and for a
   * user other than the test's own. `serin cluster shell` must then start it, and report errors.
   */
  #entered(command: readonly string[], env: NodeJS.ProcessEnv = {}): ShellCommand | undefined {
    if (!this.#hasShell || this.#user !== undefined) return undefined;
    try {
      return shellCommand(this.name, command, { ...this.#env, ...env });
    } catch {
      return undefined;
    }
  }

  /**
   * Runs a process in the lab's host namespace until it is ended. It enters the namespace like a line of {@link shell}.
   */
  spawnInShell(command: readonly string[]): ChildProcess {
    const entered = this.#entered(command) ?? {
      program: this.serin,
      args: ["cluster", "shell", "--name", this.name, "--", ...command],
      env: this.#env,
    };
    return spawn(entered.program, entered.args, {
      ...this.#user,
      cwd: this.directory,
      env: entered.env,
      stdio: ["pipe", "pipe", "pipe"],
    });
  }

  async delete(): Promise<void> {
    await this.run([this.serin, "cluster", "delete", "--name", this.name]);
    rmSync(this.#home, { recursive: true, force: true });
    this.#sweeper.stdin?.end();
  }

  /**
   * Starts a process that removes the labs and files of this HOME when its input ends, which happens with the end of
   * this process too. A test that a signal ends cannot do that itself, and labs outlive their creator.
   */
  #startSweeper(): ChildProcess {
    const line = [
      "cat >/dev/null",
      'for lab in "$2"/*; do if [ -d "$lab" ]; then "$3" cluster delete --name "${lab##*/}"; fi; done',
      'rm -rf "$1"',
    ].join("; ");
    const sweeper = spawn("sh", ["-c", line, "sh", this.#home, dirname(this.stateDirectory), this.serin], {
      cwd: "/",
      // Without the lab's mark, because it is no process of the lab.
      env: { ...this.#env, PATH: process.env["PATH"] },
      stdio: ["pipe", "ignore", "ignore"],
      detached: true,
    });
    sweeper.unref();
    (sweeper.stdin as Socket).unref();
    return sweeper;
  }
}

/** Collects a program's output until the program ends. At the time limit, the program is killed. */
export async function outcome(child: ChildProcess, timeoutMs: number): Promise<Ran> {
  let output = "";
  const collect = (chunk: Buffer): void => {
    output += chunk.toString("utf8");
  };
  child.stdout?.on("data", collect);
  child.stderr?.on("data", collect);
  const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
  const code = await new Promise<number>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status) => resolve(status ?? 137));
  });
  clearTimeout(timer);
  return { code, output };
}
