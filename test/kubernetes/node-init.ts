// The program that turns its namespaces into a node. It makes a root file system, and then keeps containerd, kubelet
// and kube-proxy running, except those that the test asks it to stop. It runs in mount, process, network, host name and
// IPC namespaces of its own.
//   node node-init.ts '<JSON of a NodePlan>'
import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, copyFileSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { containerdSocket, type NodeOrder, type NodePlan, type NodeProgram } from "./node-plan.ts";
import { runCommand } from "./run-command.ts";

/** Kernel settings that a kubelet requires. Without these files, it would change them for the whole machine. */
const kernelSettings = {
  "vm/overcommit_memory": 1,
  "vm/panic_on_oom": 0,
  "kernel/panic": 10,
  "kernel/panic_on_oops": 1,
  "kernel/keys/root_maxkeys": 1_000_000,
  "kernel/keys/root_maxbytes": 25_000_000,
} as const;
const networkPlugins = ["ptp", "bridge", "host-local", "loopback", "portmap"];

const plan = JSON.parse(process.argv[2] ?? "{}") as NodePlan;
const running = new Map<NodeProgram, ChildProcess>();
/** Programs that must stay ended. */
const stopped = new Set<NodeProgram>();
const startAgainMs = 1_000;

function mount(...words: readonly string[]): void {
  runCommand(["mount", ...words]);
}

/** Makes the node's root: the machine's files, with the node's changes in an overlay. */
function makeRoot(): string {
  const disk = join(plan.directory, "disk");
  const root = join(disk, "root");
  for (const name of ["changed", "work", "root"]) mkdirSync(join(disk, name), { recursive: true });
  mount("-t", "overlay", "overlay", "-o", `lowerdir=/,upperdir=${disk}/changed,workdir=${disk}/work`, root);
  mount("-t", "proc", "proc", join(root, "proc"));
  mount("--rbind", "/dev", join(root, "dev"));
  mount("-t", "sysfs", "sysfs", join(root, "sys"));
  mount("--rbind", "/sys/fs/cgroup", join(root, "sys/fs/cgroup"));
  mount("-t", "tmpfs", "tmpfs", join(root, "run"));
  const bind = (from: string, to: string): void => {
    mkdirSync(from, { recursive: true });
    mkdirSync(join(root, to), { recursive: true });
    mount("--bind", from, join(root, to));
  };
  bind(join(plan.directory, "containerd"), "/var/lib/containerd");
  bind(join(plan.directory, "kubelet"), "/var/lib/kubelet");
  bind(join(plan.directory, "log"), "/var/log");
  bind(plan.shared, plan.shared);
  for (const place of ["run/netns", "run/lock", "run/kernel", "var/log/pods", "var/log/containers", "opt/cni/bin"])
    mkdirSync(join(root, place), { recursive: true });
  return root;
}

function fillRoot(root: string): void {
  for (const plugin of networkPlugins) copyFileSync(join("/usr/lib/cni", plugin), join(root, "opt/cni/bin", plugin));
  for (const [path, text] of Object.entries(plan.files)) {
    mkdirSync(join(root, dirname(path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  for (const [name, value] of Object.entries(kernelSettings)) {
    const file = join(root, "run/kernel", name.replaceAll("/", "_"));
    writeFileSync(file, `${value}\n`);
    mount("--bind", file, join(root, "proc/sys", name));
  }
}

/** Changes the root, drops the old one, and makes mounts shared, so that the node sees those of pods. */
function enterRoot(root: string): void {
  mkdirSync(join(root, "old-root"), { recursive: true });
  process.chdir(root);
  runCommand(["pivot_root", ".", "old-root"]);
  process.chdir("/");
  runCommand(["umount", "-l", "/old-root"]);
  mount("--make-rshared", "/");
}

const commands: Readonly<Record<NodeProgram, readonly string[]>> = {
  containerd: ["containerd", "--config=/etc/containerd/config.toml"],
  kubelet: [
    "kubelet",
    "--config=/etc/kubelet.yaml",
    `--kubeconfig=${plan.kubeconfig}`,
    `--hostname-override=${plan.name}`,
    `--node-ip=${plan.address}`,
    "--v=2",
  ],
  "kube-proxy": ["kube-proxy", "--config=/etc/kube-proxy.yaml", "--v=2"],
};

/**
 * Starts a program, and starts it again when it ends by itself, as systemd does: a kubelet ends if containerd is not
 * ready.
 */
function start(program: NodeProgram): void {
  stopped.delete(program);
  if (running.has(program)) return;
  const log = openSync(join(plan.logs, `${plan.name}-${program}.log`), "a");
  const waits = program === "kubelet" ? `while [ ! -S ${containerdSocket} ]; do sleep 0.1; done; ` : "";
  const child = spawn("sh", ["-c", `${waits}exec "$0" "$@"`, ...commands[program]], {
    stdio: ["ignore", log, log],
    env: { PATH: [...plan.path, "/usr/sbin", "/usr/bin", "/sbin", "/bin"].join(":"), HOME: "/root" },
  });
  closeSync(log);
  running.set(program, child);
  child.on("close", (status, signal) => {
    running.delete(program);
    process.stdout.write(`${plan.name}: ${program} ended (${signal ?? status ?? "?"})\n`);
    setTimeout(() => {
      if (!stopped.has(program)) start(program);
    }, startAgainMs);
  });
}

function obey({ program, signal, start: starts }: NodeOrder): void {
  const child = running.get(program);
  if (starts !== true) stopped.add(program);
  if (signal !== undefined && child !== undefined) {
    if (starts === true) child.once("close", () => start(program));
    child.kill(signal);
  } else if (starts === true) start(program);
}

writeFileSync(plan.processes, "0");
writeFileSync("/proc/sys/kernel/hostname", plan.name);
const root = makeRoot();
fillRoot(root);
enterRoot(root);
runCommand(["ip", "link", "set", "lo", "up"]);
for (const program of ["containerd", "kubelet", "kube-proxy"] as const) start(program);
process.stdout.write(`${plan.name}: up as ${readFileSync("/proc/sys/kernel/hostname", "utf8").trim()}\n`);
createInterface({ input: process.stdin }).on("line", (line) => obey(JSON.parse(line) as NodeOrder));
