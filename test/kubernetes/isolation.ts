// The run's own namespaces. Its processes, mounts and addresses disappear with them, however the run ends.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { withinNamespaces } from "../../scripts/lab/run-with-lab.ts";

const cgroupRoot = "/sys/fs/cgroup";
const namespaces = ["unshare", "-mpniuf", "--kill-child=KILL", "--mount-proc", "--propagation", "private"];

/** What the run's processes know about its place on the machine. */
export interface Surroundings {
  /** Removed at the end of the run. */
  readonly scratch: string;
  /** The run's control group, as a path from the root of each hierarchy. */
  readonly cgroup: string;
  /** The process that has started the run. The number is valid outside the run. */
  readonly starter: number;
}

const variable = "SERIN_KUBERNETES_RUN";

export function surroundings(): Surroundings | undefined {
  const text = process.env[variable];
  return text === undefined ? undefined : (JSON.parse(text) as Surroundings);
}

/**
 * The beginning of a command line with which a person can enter the run's network and mounts from outside. It names the
 * run's `unshare`, which is in all of the run's namespaces except the one of PIDs. Numbers of processes inside mean
 * nothing outside, where 1 is the machine's first process.
 */
export function enteringCommand({ starter }: Surroundings): string {
  return `nsenter -t $(pgrep -P ${starter} -x unshare) --mount --net`;
}

/** The hierarchies of control groups. Version 2 has one, and version 1 has one for each controller. */
export function cgroupHierarchies(): string[] {
  if (existsSync(join(cgroupRoot, "cgroup.controllers"))) return [cgroupRoot];
  return readdirSync(cgroupRoot).map((name) => join(cgroupRoot, name));
}

/**
 * CPU shares. Without them, each program outside the pods would weigh as much as all pods of both nodes together, and a
 * container that starts would starve those that serve. Nodes with a `system.slice` do not have this problem.
 */
export const cpuShares = {
  /** The weight of the run beside other work on the machine: that of four ordinary programs. */
  run: 4_096,
  client: 2_048,
  controlPlane: 2_048,
  /** The weight of a node with two cores: the kubelet gives 2048 to its pods, and the rest is for its programs. */
  node: 3_072,
  nodePrograms: 1_024,
} as const;

/**
 * Makes a control group. Its name is its path from the hierarchy's root. Returns the file into which a process writes 0
 * to join. With version 2, `shares` has no effect: the controllers appear only when a kubelet asks for them.
 */
export function makeCpuGroup(name: string, shares: number): string {
  const group = join(existsSync(join(cgroupRoot, "cgroup.controllers")) ? cgroupRoot : join(cgroupRoot, "cpu"), name);
  mkdirSync(group, { recursive: true });
  if (existsSync(join(group, "cpu.shares"))) writeFileSync(join(group, "cpu.shares"), String(shares));
  return join(group, "cgroup.procs");
}

/**
 * Runs the command in the namespaces, and returns its exit code. When the namespaces end, a directory and control
 * groups are left. The sweeper removes these even if this process is killed.
 */
export async function runIsolated(command: readonly string[]): Promise<number> {
  const scratch = mkdtempSync(join(tmpdir(), "sk-"));
  const inside: Surroundings = { scratch, cgroup: `/serin-kubernetes-${process.pid}`, starter: process.pid };
  makeCgroups(inside.cgroup);
  makeCpuGroup(inside.cgroup, cpuShares.run);
  const sweeper = startSweeper(inside);
  const [program = "", ...args] = withinNamespaces(
    namespaces,
    command,
    `echo 0 > ${makeCpuGroup(`${inside.cgroup}/client`, cpuShares.client)}; ip link set lo up; mount -t tmpfs tmpfs /run/netns 2>/dev/null || { mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns; }; "$0" "$@"; exit $?`,
  );
  const child = spawn(program, args, {
    env: { ...process.env, [variable]: JSON.stringify(inside) },
    stdio: ["ignore", "inherit", "inherit"],
    detached: true,
  });
  const end = (): void => {
    if (child.pid === undefined) return;
    try {
      process.kill(-child.pid, "SIGKILL");
    } catch {
      // The process has ended.
    }
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, end);
  const code = await new Promise<number>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status) => resolve(status ?? 1));
  });
  sweeper.stdin?.end();
  await new Promise((resolve) => sweeper.on("close", resolve));
  return code;
}

function makeCgroups(name: string): void {
  for (const hierarchy of cgroupHierarchies()) {
    const group = join(hierarchy, name);
    mkdirSync(group, { recursive: true });
    // With version 1, a cpuset must have its processors before a process can join.
    for (const file of ["cpuset.cpus", "cpuset.mems"])
      if (existsSync(join(group, file)) && !existsSync(join(hierarchy, "cgroup.controllers")))
        writeFileSync(join(group, file), readFileSync(join(hierarchy, file)));
  }
}

/**
 * Starts a process that outlives this one. It waits for the end of its input, then for the end of the run's processes,
 * and then cleans up.
 */
function startSweeper({ scratch, cgroup }: Surroundings): ReturnType<typeof spawn> {
  const groups = cgroupHierarchies().map((hierarchy) => join(hierarchy, cgroup));
  const script = `cat > /dev/null
tries=0
while [ $tries -lt 100 ]; do
  tries=$((tries + 1)); left=0
  for group in ${groups.join(" ")}; do
    [ -d "$group" ] && find "$group" -depth -type d -exec rmdir {} + 2>/dev/null
    [ -d "$group" ] && left=1
  done
  [ $left = 0 ] && break
  sleep 0.2
done
rm -rf --one-file-system "$0"`;
  const child = spawn("sh", ["-c", script, scratch], { stdio: ["pipe", "ignore", "inherit"], detached: true });
  child.on("error", () => rmSync(scratch, { recursive: true, force: true }));
  return child;
}
