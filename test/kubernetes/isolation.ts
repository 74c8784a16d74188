// The run's own namespaces. Its processes, mounts and addresses disappear with them, however the run ends.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { withinNamespaces } from "../../scripts/run-with-lab.ts";

const cgroupRoot = "/sys/fs/cgroup";
const namespaces = ["unshare", "-mpniuf", "--kill-child=KILL", "--mount-proc", "--propagation", "private"];

/** What the processes of the run know about its place on the machine. */
export interface Surroundings {
  /** A directory that is removed at the end of the run. */
  readonly scratch: string;
  /** The run's control group in each hierarchy, from the hierarchy's root. */
  readonly cgroup: string;
  /** The process that started the run, by its number outside of the run. */
  readonly starter: number;
}

const variable = "SERIN_KUBERNETES_RUN";

/** What surrounds the test, or undefined outside of the namespaces. */
export function surroundings(): Surroundings | undefined {
  const text = process.env[variable];
  return text === undefined ? undefined : (JSON.parse(text) as Surroundings);
}

/**
 * The beginning of a command line that leads a person from outside into the run's network and mounts. The run's
 * `unshare` is in all of its namespaces except that of the processes. Numbers of processes inside mean nothing outside:
 * there, 1 is the machine's own first process.
 */
export function enteringCommand({ starter }: Surroundings): string {
  return `nsenter -t $(pgrep -P ${starter} -x unshare) --mount --net`;
}

/** The hierarchies of control groups. Version 2 has one, version 1 has one for each controller. */
export function cgroupHierarchies(): string[] {
  if (existsSync(join(cgroupRoot, "cgroup.controllers"))) return [cgroupRoot];
  return readdirSync(cgroupRoot).map((name) => join(cgroupRoot, name));
}

/**
 * CPU shares. Without them, each program outside the pods would weigh as much as all pods of both nodes together, and a
 * starting container would starve serving ones. Nodes with a `system.slice` do not have this fault.
 */
export const cpuShares = {
  /** The weight of the run against other work on the machine: that of four programs. */
  run: 4_096,
  client: 2_048,
  controlPlane: 2_048,
  /** The weight of a node of two cores: 2048 for its pods, as the kubelet sets it, and the rest for its programs. */
  node: 3_072,
  nodePrograms: 1_024,
} as const;

/**
 * Makes a control group, named from the hierarchy's root. Returns the file to which a process writes 0 to join it. With
 * version 2, `shares` has no effect, because the controllers appear only when a kubelet requests them.
 */
export function makeCpuGroup(name: string, shares: number): string {
  const group = join(existsSync(join(cgroupRoot, "cgroup.controllers")) ? cgroupRoot : join(cgroupRoot, "cpu"), name);
  mkdirSync(group, { recursive: true });
  if (existsSync(join(group, "cpu.shares"))) writeFileSync(join(group, "cpu.shares"), String(shares));
  return join(group, "cgroup.procs");
}

/**
 * Runs the command in the namespaces and returns its exit code. Namespaces leave a directory and control groups behind,
 * which the sweeper removes even if this process is killed.
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
      // The process has ended already.
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
 * Starts a process that outlives this one. It waits for the end of its input, and then for the end of the run's
 * processes.
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
