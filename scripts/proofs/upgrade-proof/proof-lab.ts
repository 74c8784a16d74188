// The lab of the upgrade proof. The proof drives it as a user does, with bin/serin and the API.
import { join } from "node:path";
import type { ChildProcess } from "node:child_process";
import { nodeKind } from "../../../src/api/kubernetes/index.ts";
import { userError } from "../../../src/base/index.ts";
import { LabCluster, root } from "../../../test/support/lab-cluster.ts";
import { Lab } from "../../demo/lab.ts";
import { loadBalancerAddresses } from "../../demo/mesh-inputs.ts";

export { root };

const releaseTimeoutMs = 300_000;
const controlPlaneNode = "control-plane";

export class ProofLab {
  readonly cluster = new LabCluster("serin-proof");
  #lab: Lab | undefined;

  /** Creates a lab with one control plane node, two workers, and addresses for LoadBalancer Services. */
  async create(flags: readonly string[] = []): Promise<void> {
    await this.serin(["cluster", "create", "--name", this.cluster.name, ...flags]);
    this.#lab = await Lab.connect(join(this.cluster.stateDirectory, "kubeconfig"));
    await this.api.apply(loadBalancerAddresses);
  }

  /**
   * Creates a lab whose control plane node also runs pods, beside one worker. Connections between two nodes need no
   * third one.
   */
  async createWithTwoNodes(): Promise<void> {
    await this.create(["--workers", "1"]);
    const name = `${this.cluster.name}-${controlPlaneNode}`;
    await this.api.client.patchMerge(nodeKind, name, undefined, { spec: { taints: null } });
  }

  get api(): Lab {
    if (this.#lab === undefined) throw new Error("the lab does not exist yet");
    return this.#lab;
  }

  /** Runs `serin …`. Throws an error with its output if the exit code is not 0. */
  async serin(args: readonly string[], input?: string): Promise<string> {
    const { code, output } = await this.cluster.run([this.cluster.serin, ...args], {
      timeoutMs: releaseTimeoutMs,
      ...(input === undefined ? {} : { input }),
    });
    if (code !== 0) throw userError("script-failed", `serin ${args.join(" ")} ended with ${code}:\n${output}`);
    return output;
  }

  /** Copies this tree as another version, with the overlay on top. The lab runs the copy for images with that tag. */
  async addRelease(version: string, overlay?: string): Promise<void> {
    const directory = join(this.cluster.directory, `../release-${version}`);
    await this.serin([
      "release",
      "build",
      directory,
      "--version",
      version,
      ...(overlay === undefined ? [] : ["--overlay", overlay]),
    ]);
    await this.serin(["release", "add", directory, "--name", this.cluster.name]);
  }

  /** Starts a process in the lab's host namespace, where LoadBalancer addresses are reachable. */
  spawn(command: readonly string[]): ChildProcess {
    return this.cluster.spawnInShell(command);
  }

  /**
   * Returns the report directories: the pods' `/var/log/load` on each node, and the directory of the generator outside.
   */
  reportDirectories(): string[] {
    const { stateDirectory, name } = this.cluster;
    return [
      ...[controlPlaneNode, "worker", "worker2"].map((node) =>
        join(stateDirectory, "nodes", `${name}-${node}`, podReportDirectory),
      ),
      this.hostReportDirectory,
    ];
  }

  get hostReportDirectory(): string {
    return join(this.cluster.stateDirectory, "load");
  }

  /** Deletes the lab, and ends processes outside it that still wait for it. */
  async delete(): Promise<void> {
    await this.cluster.delete();
    for (const { pid } of this.cluster.processes()) endProcess(pid);
  }
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // The process has ended meanwhile.
  }
}

export const podReportDirectory = "/var/log/load";
