// The proof's lab, as a user drives it: by bin/serin and by the API.
import { join } from "node:path";
import type { ChildProcess } from "node:child_process";
import { userError } from "../../src/base/index.ts";
import { LabCluster, root } from "../../test/support/lab-cluster.ts";
import { Lab } from "../demo/lab.ts";

export { root };

const releaseTimeoutMs = 300_000;

export class ProofLab {
  readonly cluster = new LabCluster("serin-proof");
  #lab: Lab | undefined;

  /** One control plane node and two workers, and addresses for LoadBalancer Services. */
  async create(): Promise<void> {
    await this.serin(["cluster", "create", "--name", this.cluster.name]);
    this.#lab = await Lab.connect(join(this.cluster.stateDirectory, "kubeconfig"));
    await this.api.apply([
      {
        apiVersion: "metallb.io/v1beta1",
        kind: "IPAddressPool",
        metadata: { name: "example", namespace: "metallb-system" },
        spec: { addresses: ["172.18.255.200-172.18.255.250"] },
      },
      {
        apiVersion: "metallb.io/v1beta1",
        kind: "L2Advertisement",
        metadata: { name: "empty", namespace: "metallb-system" },
      },
    ]);
  }

  get api(): Lab {
    if (this.#lab === undefined) throw new Error("the lab is not there yet");
    return this.#lab;
  }

  /** Runs `serin …`; anything but exit code 0 is an error that says what was printed. */
  async serin(args: readonly string[], input?: string): Promise<string> {
    const { code, output } = await this.cluster.run([this.cluster.serin, ...args], {
      timeoutMs: releaseTimeoutMs,
      ...(input === undefined ? {} : { input }),
    });
    if (code !== 0) throw userError("proof-command", `serin ${args.join(" ")} ended with ${code}:\n${output}`);
    return output;
  }

  /** This tree under another version, with the overlay laid over it; the lab runs it for images of that tag. */
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

  /** A process in the lab's host namespace, where LoadBalancer addresses work as they are. */
  spawn(command: readonly string[]): ChildProcess {
    return this.cluster.spawnInShell(command);
  }

  /** The pods' `/var/log/load`, one a node, and the one of the generator outside of pods. */
  reportDirectories(): string[] {
    const { stateDirectory, name } = this.cluster;
    return [
      ...["worker", "worker2"].map((node) => join(stateDirectory, "nodes", `${name}-${node}`, podReportDirectory)),
      this.hostReportDirectory,
    ];
  }

  get hostReportDirectory(): string {
    return join(this.cluster.stateDirectory, "load");
  }

  /** Ends also what was started outside of the lab and still waits for it. */
  async delete(): Promise<void> {
    await this.cluster.delete();
    for (const { pid } of this.cluster.processes()) endProcess(pid);
  }
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended meanwhile.
  }
}

export const podReportDirectory = "/var/log/load";
