// An existing cluster, as a guide's reader has one. SERIN_TEST_KUBECONFIG names its kubeconfig. The guide's commands
// run on the test's machine.
import { spawn, type ChildProcess } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LabCluster, ProgramRunner, serin, type Ran, type RunOptions, type SpawnOptions } from "./lab-cluster.ts";

/** What guides need of a cluster, which is a lab or a given one. */
export type GuideCluster = Pick<
  LabCluster,
  | "name"
  | "directory"
  | "serin"
  | "create"
  | "addRelease"
  | "run"
  | "ok"
  | "spawn"
  | "shell"
  | "spawnInShell"
  | "delete"
>;

/** What differs from one given cluster to another. */
export interface GivenFacts {
  readonly kubeconfig: string;
  /** Two nodes that run pods. */
  readonly nodes: readonly [string, string];
  /** The first three numbers of the LoadBalancer addresses. The last number begins at 200. */
  readonly addresses: string;
}

/** The facts about a given cluster, from the environment. Undefined if the test makes a lab. */
export function givenFacts(env: NodeJS.ProcessEnv = process.env): GivenFacts | undefined {
  const kubeconfig = env["SERIN_TEST_KUBECONFIG"];
  if (kubeconfig === undefined || kubeconfig === "") return undefined;
  const [first = "", second = "", ...more] = (env["SERIN_TEST_NODES"] ?? "").split(",");
  const addresses = env["SERIN_TEST_ADDRESSES"] ?? "";
  if (first === "" || second === "" || more.length > 0)
    throw new Error("SERIN_TEST_NODES: expected the names of two nodes with a comma between them");
  if (!/^\d+\.\d+\.\d+$/.test(addresses))
    throw new Error("SERIN_TEST_ADDRESSES: expected the first three numbers of the LoadBalancer addresses");
  return { kubeconfig, nodes: [first, second], addresses };
}

/** A lab with this name, or the given cluster. */
export function guideCluster(name: string, given: GivenFacts | undefined): GuideCluster {
  return given === undefined ? new LabCluster(name) : new GivenCluster(name, given);
}

export class GivenCluster extends ProgramRunner implements GuideCluster {
  readonly name: string;
  readonly directory: string;
  readonly serin = serin;
  readonly #facts: GivenFacts;
  readonly #home: string;
  readonly #env: NodeJS.ProcessEnv;

  constructor(name: string, facts: GivenFacts) {
    super();
    this.name = name;
    this.#facts = facts;
    this.#home = mkdtempSync(join(tmpdir(), "serin-given-"));
    this.directory = join(this.#home, "work");
    const programs = join(this.#home, "programs");
    for (const directory of [this.directory, programs]) mkdirSync(directory);
    for (const program of ["serin", "istioctl"]) symlinkSync(serin, join(programs, program));
    this.#env = {
      ...process.env,
      HOME: this.#home,
      XDG_STATE_HOME: join(this.#home, "state"),
      KUBECONFIG: this.#kubeconfig,
      PATH: `${programs}:${process.env["PATH"] ?? ""}`,
    };
  }

  get #kubeconfig(): string {
    return join(this.#home, ".kube/config");
  }

  /** The cluster exists. Copies its kubeconfig to where the guide's own command writes one. */
  create(): Promise<Ran> {
    mkdirSync(join(this.#home, ".kube"), { recursive: true });
    copyFileSync(this.#facts.kubeconfig, this.#kubeconfig);
    return Promise.resolve({ code: 0, output: "" });
  }

  /** Nothing to do: a node pulls the images of all versions from one registry. */
  addRelease(): Promise<void> {
    return Promise.resolve();
  }

  spawn(command: readonly string[], { env, input = false }: SpawnOptions = {}): ChildProcess {
    const [program = "", ...args] = command;
    return spawn(program, args, {
      cwd: this.directory,
      env: { ...this.#env, ...env },
      stdio: [input ? "pipe" : "ignore", "pipe", "pipe"],
    });
  }

  async shell(line: string, options: RunOptions = {}): Promise<Ran> {
    return await this.run(["bash", "-c", line], options);
  }

  spawnInShell(command: readonly string[]): ChildProcess {
    return this.spawn(command, { input: true });
  }

  delete(): Promise<void> {
    rmSync(this.#home, { recursive: true, force: true });
    return Promise.resolve();
  }
}
