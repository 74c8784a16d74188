// Starts one container of a pod with nothing but runc, as a kubelet and containerd do: with the image's files and
// configuration, and the manifest's command, arguments, environment, user, capabilities, seccomp, root and volumes. The
// container has no network but its own loopback, and no API server.
import { execFile, spawn } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import type { Container, Pod, SecurityContext, Volume } from "../../src/api/kubernetes/index.ts";

export interface UnpackedImage {
  /** The directory of the image's files. Containers share it, and those with a writable root write to it. */
  readonly root: string;
  readonly entrypoint: readonly string[];
  readonly arguments: readonly string[];
  readonly environment: readonly string[];
  /** For example `1337:1337`, the user and the group. */
  readonly user: string;
}

export interface ContainerEnd {
  /** Undefined if the container was killed. */
  readonly code: number | undefined;
  readonly output: string;
  /** The memory of its processes when it was killed. 0 if it has ended by itself. */
  readonly memoryBytes: number;
}

export interface ContainerRun {
  readonly pod: Pod;
  readonly container: Container;
  readonly image: UnpackedImage;
  readonly scratch: string;
  /** The container is killed after this time, or earlier if it has loaded its program and is idle. */
  readonly forMs: number;
}

/** A Node.js process that has loaded a program has at least so much memory. A shell that waits has less. */
export const leastMemoryBytes = 10 * 1024 * 1024;

/** The capabilities that containerd grants by default. */
const defaultCapabilities = [
  "AUDIT_WRITE",
  "CHOWN",
  "DAC_OVERRIDE",
  "FOWNER",
  "FSETID",
  "KILL",
  "MKNOD",
  "NET_BIND_SERVICE",
  "NET_RAW",
  "SETFCAP",
  "SETGID",
  "SETPCAP",
  "SETUID",
  "SYS_CHROOT",
];
/**
 * Further capabilities of a privileged container, with the kernel's numbers. No container gets one that this run lacks.
 */
const furtherCapabilities = {
  DAC_READ_SEARCH: 2,
  NET_ADMIN: 12,
  SYS_MODULE: 16,
  SYS_PTRACE: 19,
  SYS_ADMIN: 21,
  SYS_RESOURCE: 24,
} as const;
/** System calls that our programs might use, and that a runtime's profile refuses without a capability. */
const refusedCalls = [
  "add_key",
  "bpf",
  "fsopen",
  "fsmount",
  "io_uring_enter",
  "io_uring_register",
  "io_uring_setup",
  "kexec_load",
  "keyctl",
  "mount",
  "move_mount",
  "open_tree",
  "perf_event_open",
  "pivot_root",
  "request_key",
  "setns",
  "umount2",
  "unshare",
  "userfaultfd",
];

/** System calls that containerd's profile permits with SYS_ADMIN. */
const callsOfAdministrators: ReadonlySet<string> = new Set([
  "bpf",
  "fsmount",
  "fsopen",
  "mount",
  "move_mount",
  "open_tree",
  "perf_event_open",
  "setns",
  "umount2",
  "unshare",
]);
const lookEveryMs = 300;
/** A container is idle after so many samples in a row in which it has done no work. */
const looksUntilQuiet = 3;
const maxOutput = 64 * 1024;

/**
 * Runs the container until it has ended, is idle after it has loaded its program, or has reached its limit. Leaves
 * nothing behind.
 */
export async function runContainer(run: ContainerRun): Promise<ContainerEnd> {
  const bundle = mkdtempSync(join(run.scratch, "bundle-"));
  const name = bundle.slice(bundle.lastIndexOf("/") + 1);
  const runc = ["--root", join(run.scratch, "runc")];
  const pidFile = join(bundle, "pid");
  writeFileSync(join(bundle, "config.json"), JSON.stringify(runtimeSpec(run, bundle)));
  const child = spawn("runc", [...runc, "run", "--bundle", bundle, "--pid-file", pidFile, name], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  const take = (bytes: Buffer): void => {
    if (output.length < maxOutput) output += bytes.toString();
  };
  child.stdout.on("data", take);
  child.stderr.on("data", take);
  const over = new AbortController();
  const ended = new Promise<number>((resolve) => {
    child.on("error", (error) => {
      output += error.message;
      resolve(-1);
    });
    child.on("close", (status) => resolve(status ?? -1));
  }).finally(() => over.abort());
  const memoryBytes = await memoryWhenQuiet(pidFile, run.forMs, over.signal);
  const runsOn = !over.signal.aborted;
  if (runsOn) await endOf("runc", [...runc, "kill", name, "KILL"]);
  const status = await ended;
  await endOf("runc", [...runc, "delete", "--force", name]);
  rmSync(bundle, { recursive: true, force: true });
  return { code: runsOn ? undefined : status, output, memoryBytes: runsOn ? memoryBytes : 0 };
}

/** The memory of the container's processes when they have loaded something and are idle, or at the time limit. */
async function memoryWhenQuiet(pidFile: string, forMs: number, ended: AbortSignal): Promise<number> {
  const until = performance.now() + forMs;
  let quiet = 0;
  let worked = -1;
  let memoryBytes = 0;
  while (performance.now() < until && quiet < looksUntilQuiet && !ended.aborted) {
    await setTimeout(lookEveryMs, undefined, { signal: ended }).catch(() => undefined);
    const ids = processesFrom(numberIn(pidFile));
    const stats = ids.map((id) => statOf(id));
    const ticks = stats.reduce((sum, stat) => sum + stat.ticks, 0);
    memoryBytes = ids.reduce((sum, id) => sum + residentBytes(id), 0);
    const waits = stats.every(({ state }) => state === "S") && ticks === worked && memoryBytes >= leastMemoryBytes;
    quiet = waits ? quiet + 1 : 0;
    worked = ticks;
  }
  return memoryBytes;
}

function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return ""; // The file does not exist yet, or the process has ended since.
  }
}

function numberIn(file: string): number | undefined {
  const text = textOf(file);
  return text === "" ? undefined : Number(text);
}

function processesFrom(id: number | undefined): number[] {
  if (id === undefined) return [];
  const children = textOf(`/proc/${id}/task/${id}/children`).split(" ").filter(Boolean);
  return [id, ...children.flatMap((child) => processesFrom(Number(child)))];
}

/** The state of the process' main thread, and the CPU time of all its threads. */
function statOf(id: number): { readonly state: string; readonly ticks: number } {
  const stat = textOf(`/proc/${id}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return { state: fields[0] ?? "", ticks: Number(fields[11] ?? 0) + Number(fields[12] ?? 0) };
}

/** The memory of the process. Shared pages count in proportion. */
function residentBytes(id: number): number {
  return Number(/^Pss:\s+(\d+) kB$/m.exec(textOf(`/proc/${id}/smaps_rollup`))?.[1] ?? 0) * 1024;
}

function endOf(program: string, args: readonly string[]): Promise<void> {
  return new Promise((resolve) => {
    execFile(program, args, () => resolve());
  });
}

function runtimeSpec({ pod, container, image }: ContainerRun, bundle: string): object {
  const context: SecurityContext = {
    ...pod.spec?.securityContext,
    ...container.securityContext,
  };
  const [imageUser = "0", imageGroup = "0"] = image.user.split(":");
  const capabilities = capabilitiesOf(context).map((capability) => `CAP_${capability}`);
  const isRoot = (context.runAsUser ?? Number(imageUser)) === 0;
  const effective = isRoot ? capabilities : [];
  const isAdministrator = capabilities.includes("CAP_SYS_ADMIN");
  const refused = refusedCalls.filter((call) => !isAdministrator || !callsOfAdministrators.has(call));
  const seccomp = context.seccompProfile?.type === "RuntimeDefault" && context.privileged !== true;
  const fsGroup = pod.spec?.securityContext?.fsGroup;
  return {
    ociVersion: "1.0.2",
    hostname: "pod",
    process: {
      cwd: container.workingDir ?? "/",
      args: commandOf(container, image),
      env: environmentOf(container, image),
      user: {
        uid: context.runAsUser ?? Number(imageUser),
        gid: context.runAsGroup ?? Number(imageGroup),
        ...(fsGroup === undefined ? {} : { additionalGids: [fsGroup] }),
      },
      noNewPrivileges: context.allowPrivilegeEscalation === false,
      capabilities: { bounding: capabilities, effective, permitted: effective },
    },
    root: { path: image.root, readonly: context.readOnlyRootFilesystem === true },
    mounts: [...systemMounts, ...accountMounts(bundle), ...volumeMounts(pod, container, bundle)],
    linux: {
      namespaces: ["pid", "mount", "network", "ipc", "uts"].map((type) => ({ type })),
      sysctl: Object.fromEntries((pod.spec?.securityContext?.sysctls ?? []).map(({ name, value }) => [name, value])),
      ...(seccomp
        ? {
            seccomp: {
              defaultAction: "SCMP_ACT_ALLOW",
              syscalls: [{ names: refused, action: "SCMP_ACT_ERRNO", errnoRet: 1 }],
            },
          }
        : {}),
      maskedPaths:
        context.privileged === true ? [] : ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
      readonlyPaths: context.privileged === true ? [] : ["/proc/sys", "/proc/sysrq-trigger"],
    },
  };
}

function capabilitiesOf(context: SecurityContext): string[] {
  const { add = [], drop = [] } = context.capabilities ?? {};
  if (context.privileged === true) return [...defaultCapabilities, ...ownedCapabilities()];
  const kept = drop.includes("ALL") ? [] : defaultCapabilities.filter((name) => !drop.includes(name));
  return [...new Set([...kept, ...add])];
}

function ownedCapabilities(): string[] {
  const [, bounding = "0"] = /^CapBnd:\s+([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  const owned = BigInt(`0x${bounding}`);
  return Object.entries(furtherCapabilities)
    .filter(([, bit]) => ((owned >> BigInt(bit)) & 1n) === 1n)
    .map(([name]) => name);
}

/**
 * As a kubelet does: a command replaces the image's entry point and arguments, and arguments replace only the
 * arguments.
 */
function commandOf({ command = [], args = [] }: Container, image: UnpackedImage): string[] {
  if (command.length > 0) return [...command, ...args];
  return [...image.entrypoint, ...(args.length > 0 ? args : image.arguments)];
}

function environmentOf(container: Container, image: UnpackedImage): string[] {
  const values = new Map(
    [...image.environment, "KUBERNETES_SERVICE_HOST=127.0.0.1", "KUBERNETES_SERVICE_PORT=6443"].map((line) => {
      const at = line.indexOf("=");
      return [line.slice(0, at), line.slice(at + 1)];
    }),
  );
  for (const { name, value, valueFrom } of container.env ?? []) {
    const path = valueFrom?.fieldRef?.fieldPath ?? "";
    const text = valueFrom === undefined ? (value ?? "") : (fieldValues[path] ?? "1");
    values.set(
      name,
      text.replaceAll(/\$\(([\w.-]+)\)/g, (whole, other: string) => values.get(other) ?? whole),
    );
  }
  return [...values].map(([name, value]) => `${name}=${value}`);
}

const fieldValues: Readonly<Record<string, string>> = {
  "metadata.name": "pod",
  "metadata.namespace": "shop",
  "status.podIP": "127.0.0.1",
  "status.hostIP": "127.0.0.1",
  "spec.nodeName": "node",
  "spec.serviceAccountName": "default",
};

const systemMounts = [
  { destination: "/proc", type: "proc", source: "proc" },
  { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755", "size=64m"] },
  {
    destination: "/dev/pts",
    type: "devpts",
    source: "devpts",
    options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
  },
  { destination: "/dev/shm", type: "tmpfs", source: "shm", options: ["nosuid", "nodev", "mode=1777", "size=64m"] },
  { destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"] },
];

/** The files of a service account: a token that no server accepts, for an API server that does not exist. */
function accountMounts(bundle: string): object[] {
  const source = join(bundle, "account");
  mkdirSync(source, { mode: 0o755 });
  for (const [name, text] of [
    ["token", "token"],
    ["ca.crt", ""],
    ["namespace", "shop"],
  ] as const)
    writeFileSync(join(source, name), text, { mode: 0o644 });
  return [bind("/var/run/secrets/kubernetes.io/serviceaccount", source, true)];
}

function volumeMounts({ spec }: Pod, container: Container, bundle: string): object[] {
  const volumes = new Map((spec?.volumes ?? []).map((volume) => [volume.name, volume]));
  return (container.volumeMounts ?? [])
    .filter(({ subPath }) => subPath === undefined)
    .map(({ name, mountPath, readOnly }) => {
      const volume = volumes.get(name);
      if (volume === undefined) throw new Error(`${container.name} mounts ${name}, which the pod does not have`);
      // The container sees its own processes here, and not the node's.
      if (volume.hostPath?.path === "/proc") return { destination: mountPath, type: "proc", source: "proc" };
      const source = join(bundle, "volumes", name);
      mkdirSync(source, { recursive: true, mode: 0o777 });
      chmodSync(source, 0o777);
      // A kubelet creates mount points in a volume before it mounts the volume read-only.
      for (const inner of container.volumeMounts ?? [])
        if (inner.mountPath.startsWith(`${mountPath}/`) && inner.subPath === undefined)
          mkdirSync(join(source, inner.mountPath.slice(mountPath.length)), { recursive: true });
      return bind(mountPath, source, readOnly === true || isGiven(volume));
    });
}

/** Whether the kubelet provides the volume's files, so that they are read-only. */
function isGiven({ configMap, secret, projected, downwardAPI }: Volume): boolean {
  return [configMap, secret, projected, downwardAPI].some((kind) => kind !== undefined);
}

function bind(destination: string, source: string, readOnly: boolean): object {
  return { destination, source, type: "bind", options: ["rbind", readOnly ? "ro" : "rw"] };
}
