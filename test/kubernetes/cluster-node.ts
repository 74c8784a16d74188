// Starts a node, runs commands in it, and ends it.
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../support/eventually.ts";
import { nodeAddress, nodeName, type ClusterFiles, type NodeNumber, type Programs } from "./cluster-layout.ts";
import { cgroupHierarchies, cpuShares, makeCpuGroup } from "./isolation.ts";
import { attachNode, detachNode, networkOf } from "./network.ts";
import { containerdSocket, nodeFiles, type NodeOrder, type NodePlan } from "./node-plan.ts";
import { outcomeOf, runCommand, type CommandOptions, type Ran } from "./run-command.ts";

const isolated = ["unshare", "-mpuif", "--kill-child=KILL", "--propagation", "private"];

export class ClusterNode {
  readonly number: NodeNumber;
  readonly name: string;
  readonly #files: ClusterFiles;
  readonly #programs: Programs;
  readonly #cgroup: string;
  #child: ChildProcess | undefined;
  #pid = 0;

  constructor(number: NodeNumber, files: ClusterFiles, programs: Programs, cgroup: string) {
    this.number = number;
    this.name = nodeName(number);
    this.#files = files;
    this.#programs = programs;
    this.#cgroup = cgroup;
  }

  get #directory(): string {
    return join(this.#files.scratch, this.name);
  }

  async start(): Promise<void> {
    const disk = join(this.#directory, "disk");
    if (!existsSync(disk)) {
      mkdirSync(disk, { recursive: true });
      // The upper directory of an overlay must not be inside the lower one, which is the machine's root.
      runCommand(["mount", "-t", "tmpfs", "tmpfs", disk]);
    }
    this.#makeCgroups();
    const log = openSync(join(this.#files.logs, `${this.name}.log`), "a");
    const command = [...isolated, "sh", "-c", '"$0" "$@"; exit $?', process.execPath];
    const child = spawn(
      "nsenter",
      [
        `--net=${networkOf(this.number)}`,
        ...command,
        join(import.meta.dirname, "node-init.ts"),
        JSON.stringify(this.#plan()),
      ],
      { stdio: ["pipe", log, log] },
    );
    closeSync(log);
    this.#child = child;
    this.#pid = await eventually(`${this.name} has a first process`, () => firstChildOf(child.pid));
    await eventually(`containerd answers on ${this.name}`, async () => {
      if (child.exitCode !== null)
        throw new Error(`${this.name} ended: ${readFileSync(join(this.#files.logs, `${this.name}.log`), "utf8")}`);
      return (await this.run(["ctr", "-a", containerdSocket, "version"], { timeoutMs: 5_000 })).code === 0;
    });
  }

  async run(command: readonly string[], options?: CommandOptions): Promise<Ran> {
    return await outcomeOf(this.inside(command), options);
  }

  inside(command: readonly string[]): string[] {
    const words = [
      "nsenter",
      "-t",
      String(this.#pid),
      "--mount",
      "--pid",
      "--net",
      "--uts",
      "--ipc",
      "--root",
      // Not --wd: nsenter would open that directory before it changes the root, and sh could then not find its name.
      "--wdns=/",
    ];
    return [...words, "env", `PATH=${[...this.#path(), "/usr/sbin:/usr/bin:/sbin:/bin"].join(":")}`, ...command];
  }

  async ok(command: readonly string[], options?: CommandOptions): Promise<string> {
    const { code, output } = await this.run(command, options);
    if (code !== 0) throw new Error(`${this.name}: ${command.join(" ")} ended with ${code}: ${output}`);
    return output;
  }

  order(order: NodeOrder): void {
    this.#child?.stdin?.write(`${JSON.stringify(order)}\n`);
  }

  /** Kills every process of the node and removes its network. Keeps its disk. */
  async powerOff(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    const ended = new Promise((resolve) => child.on("close", resolve));
    process.kill(this.#pid, "SIGKILL");
    await ended;
    this.#child = undefined;
    detachNode(this.number);
    await eventually(`the cgroups of ${this.name} are gone`, () => this.#removeCgroups());
  }

  async powerOn(): Promise<void> {
    attachNode(this.number);
    await this.start();
  }

  async load(archive: string): Promise<void> {
    await this.ok(["ctr", "-a", containerdSocket, "-n", "k8s.io", "images", "import", "--local", archive], {
      timeoutMs: 300_000,
    });
  }

  /** Removes images by name, so that the next pod pulls them. It is no error if one does not exist. */
  async forgetImages(references: readonly string[]): Promise<void> {
    await this.ok(["ctr", "-a", containerdSocket, "-n", "k8s.io", "images", "remove", "--sync", ...references]);
  }

  #path(): string[] {
    return [this.#programs.kubernetes, this.#programs.containerd];
  }

  #plan(): NodePlan {
    return {
      name: this.name,
      address: nodeAddress(this.number),
      directory: this.#directory,
      shared: this.#files.scratch,
      logs: this.#files.logs,
      kubeconfig: join(this.#files.kubeconfigs, `${this.name}.conf`),
      path: this.#path(),
      processes: makeCpuGroup(join(this.#cgroup, this.name, "system"), cpuShares.nodePrograms),
      files: nodeFiles(this.number, this.#files, this.#cgroup),
    };
  }

  /**
   * Removes the control groups, because a machine has none when it boots. A kubelet asks containerd about each group
   * that it finds, which has taken two minutes.
   */
  #removeCgroups(): boolean {
    const groups = cgroupHierarchies().map((hierarchy) => join(hierarchy, this.#cgroup, this.name));
    const left = groups.filter((group) => existsSync(group));
    if (left.length > 0) spawnSync("find", [...left, "-depth", "-type", "d", "-exec", "rmdir", "{}", "+"]);
    return !groups.some((group) => existsSync(group));
  }

  #makeCgroups(): void {
    for (const hierarchy of cgroupHierarchies()) {
      const above = join(hierarchy, this.#cgroup);
      const group = join(above, this.name);
      mkdirSync(group, { recursive: true });
      for (const file of ["cpuset.cpus", "cpuset.mems"])
        if (existsSync(join(group, file)) && hierarchy.endsWith("/cpuset"))
          writeFileSync(join(group, file), readFileSync(join(above, file)));
    }
    makeCpuGroup(join(this.#cgroup, this.name), cpuShares.node);
  }
}

/** The first process in the PID namespace. It is a child: `nsenter` becomes `unshare`, which forks. */
function firstChildOf(pid: number | undefined): number | undefined {
  try {
    const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean);
    return child === undefined ? undefined : Number(child);
  } catch {
    return undefined;
  }
}
