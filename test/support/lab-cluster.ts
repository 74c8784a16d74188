// A lab cluster for an end-to-end test. It has its own HOME, and real programs use it from a real shell.
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
  /** Standard output and standard error, in the order in which they have come. */
  readonly output: string;
}

export interface RunOptions {
  readonly input?: string;
  readonly timeoutMs?: number;
  /** Added to the cluster's own environment. */
  readonly env?: NodeJS.ProcessEnv;
}

export interface LabClusterOptions {
  /** Everything runs as this user, who must be able to read the release. By default, the test's own user. */
  readonly uid?: number;
  /** By default, the tree in SERIN_LAB_RELEASE, or else this checkout. */
  readonly releaseRoot?: string;
}

/**
 * The time limit of a command by default. It is longer than the cluster's own limits, and than those that tests give to
 * kubectl.
 */
const defaultTimeoutMs = 400_000;

export interface SpawnOptions {
  readonly env?: NodeJS.ProcessEnv | undefined;
  readonly input?: boolean;
}

/** Runs programs on the test's machine, outside a cluster. */
export abstract class ProgramRunner {
  abstract spawn(command: readonly string[], options?: SpawnOptions): ChildProcess;

  async run(command: readonly string[], { input, timeoutMs = defaultTimeoutMs, env }: RunOptions = {}): Promise<Ran> {
    const child = this.spawn(command, { env, input: input !== undefined });
    child.stdin?.end(input);
    return await outcome(child, timeoutMs);
  }

  async ok(command: readonly string[], input?: string): Promise<string> {
    const { code, output } = await this.run(command, input === undefined ? {} : { input });
    assert.equal(code, 0, `${command.join(" ")}\n${output}`);
    return output;
  }
}

export class LabCluster extends ProgramRunner {
  readonly name: string;
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
    // Every process of this lab inherits this PATH, so the mark in it tells them from those of other labs.
    const path = `${process.env["PATH"] ?? ""}:${join(this.#home, "marked")}`;
    const bare = { PATH: path, HOME: this.#home, XDG_STATE_HOME: join(this.#home, "state") };
    this.#env =
      uid === undefined
        ? { ...process.env, ...bare, KUBECONFIG: join(this.#home, ".kube/config"), SERIN_CLUSTER: name }
        : bare;
    if (uid !== undefined) for (const path of [this.#home, this.directory]) chownSync(path, uid, uid);
    this.#sweeper = this.#startSweeper();
  }

  /** Creates the cluster. `config` is kind's YAML. */
  async create(config?: string, flags: readonly string[] = []): Promise<Ran> {
    const words = [...(config === undefined ? ["--name", this.name] : ["--config", "-"]), ...flags];
    return await this.run([this.serin, "cluster", "create", ...words], config === undefined ? {} : { input: config });
  }

  /** For tests that do not need a second node. */
  async createOneNode(): Promise<Ran> {
    return await this.create(
      `kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: ${this.name}\nnodes: [{role: control-plane}]\n`,
    );
  }

  /** Creates the cluster with two nodes that both run pods, for connections between nodes. */
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

  /** Adds this tree to the lab as the release of another version. */
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

  get stateDirectory(): string {
    return join(this.#home, "state/serin/clusters", this.name);
  }

  hasContext(): boolean {
    const path = join(this.#home, ".kube/config");
    return existsSync(path) && readFileSync(path, "utf8").includes(`kind-${this.name}`);
  }

  /** All processes of the machine that belong to clusters of this HOME. */
  processes(): MachineProcess[] {
    return processesOf(join(this.#home, "marked"));
  }

  /**
   * The cluster's processes of one role. The role is its name in the command line, such as `cluster-apiserver` or
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
   * cluster shell`. The others enter the same namespaces directly, which saves a start of Node.js for each.
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
   * How the lab's shell starts the command. Undefined before the first line has entered, and for another user than the
   * test's own: `serin cluster shell` must then start it, and report errors.
   */
  #entered(command: readonly string[], env: NodeJS.ProcessEnv = {}): ShellCommand | undefined {
    if (!this.#hasShell || this.#user !== undefined) return undefined;
    try {
      return shellCommand(this.name, command, { ...this.#env, ...env });
    } catch {
      return undefined;
    }
  }

  /** Runs a process in the lab's host namespace until it is ended, as a line of {@link shell}. */
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
   * Starts a process that removes the labs and files of this HOME when its input ends, so also when this process ends.
   * A test that a signal ends cannot do that itself, and labs outlive their creator.
   */
  #startSweeper(): ChildProcess {
    const line = [
      "cat >/dev/null",
      'for lab in "$2"/*; do if [ -d "$lab" ]; then "$3" cluster delete --name "${lab##*/}"; fi; done',
      'rm -rf "$1"',
    ].join("; ");
    const sweeper = spawn("sh", ["-c", line, "sh", this.#home, dirname(this.stateDirectory), this.serin], {
      cwd: "/",
      // Without the mark, because the sweeper is no process of the lab.
      env: { ...this.#env, PATH: process.env["PATH"] },
      stdio: ["pipe", "ignore", "ignore"],
      detached: true,
    });
    sweeper.unref();
    (sweeper.stdin as Socket).unref();
    return sweeper;
  }
}

/** Collects a program's output until it ends. Kills it at the time limit. */
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
