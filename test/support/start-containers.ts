// Starts each different container of some pods with runc, and reports those that cannot run their program.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import type { Container, Pod } from "../../src/api/kubernetes/index.ts";
import { parseImageReference } from "../../src/cluster/images/image-reference.ts";
import type { NamedPod } from "./every-pod.ts";
import type { ImageStore } from "./image-store.ts";
import { leastMemoryBytes, runContainer, type ContainerEnd, type ContainerRun } from "./runc-container.ts";

export interface StartedContainers {
  readonly started: number;
  readonly faults: readonly string[];
}

/**
 * How long a container may run: long enough to load a whole program on a busy machine. It ends earlier if its program
 * is idle.
 */
const runForMs = 30_000;
const runsAtOnce = 4;
/** How many users to map. No image or manifest names a higher one. */
const allUsers = 65_536;
const mebibyte = 1024 * 1024;
/**
 * What a kubelet, a loader or the kernel says about a program that cannot start, and Node.js about a file that is
 * missing or cannot be read.
 */
const startFaults =
  /runc run failed|operation not permitted|executable file not found|no such file or directory: unknown|not found in \$PATH|permission denied|EACCES|EPERM|EROFS|read-only file system|Cannot find (module|package)|SyntaxError|error while loading shared libraries/i;
/** What a program says that ends because it has no cluster, no ConfigMap or no redirect. */
const lacksCluster =
  /ECONNREFUSED|cannot reach|kubeconfig|127\.0\.0\.1:6443|not redirected|cannot read the configuration/i;

/** How many users this user namespace has. A new one of root has 1. */
function mappedUsers(): number {
  const lines = readFileSync("/proc/self/uid_map", "utf8").trim().split("\n");
  return lines.reduce((sum, line) => sum + Number(line.trim().split(/\s+/)[2]), 0);
}

/** Undefined if containers can start here. */
export function whyNotByRunc(): string | undefined {
  if (process.getuid?.() !== 0 || mappedUsers() < allUsers)
    return "containers run as several users, which runc can give them for root alone";
  return spawnSync("runc", ["--version"]).status === 0 ? undefined : "runc is missing: apt-get install runc";
}

/** Starts the containers. Those that start in the same way run once. Skips those whose images the store lacks. */
export async function startContainers(
  pods: readonly NamedPod[],
  store: ImageStore,
  scratch: string,
  { judgesMemory = true }: { readonly judgesMemory?: boolean } = {},
): Promise<StartedContainers> {
  const faults: string[] = [];
  const seen = new Set<string>();
  const waiting: { readonly title: string; readonly run: ContainerRun }[] = [];
  for (const { name, pod } of pods) {
    for (const container of [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])]) {
      const { repository, tag } = parseImageReference(container.image ?? "");
      const image = store.unpacked(`${repository}:${tag}`);
      const likeness = likenessOf(pod, container, repository);
      if (image === undefined || seen.has(likeness)) continue;
      seen.add(likeness);
      const title = `${name}: ${container.name}`;
      const refusal = refusalOfKubelet(pod, container, image.user);
      if (refusal === undefined) waiting.push({ title, run: { pod, container, image, scratch, forMs: runForMs } });
      else faults.push(`${title}: ${refusal}`);
    }
  }
  const started = waiting.length;
  const lanes = Array.from({ length: runsAtOnce }, async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const end = await runContainer(next.run);
      const fault = startFault(end) ?? (judgesMemory ? memoryFault(end, next.run.container) : undefined);
      if (fault !== undefined) faults.push(`${next.title}: ${fault}\n${end.output.slice(0, 600)}`);
    }
  });
  await Promise.all(lanes);
  return { started, faults: faults.sort() };
}

function likenessOf(pod: Pod, { command, args, securityContext, volumeMounts }: Container, repository: string): string {
  const context = { ...pod.spec?.securityContext, ...securityContext };
  return JSON.stringify([repository, command, args, context, volumeMounts]);
}

/** Why a kubelet would refuse to start the container: it would run as root, which its manifest forbids. */
function refusalOfKubelet(pod: Pod, container: Container, imageUser: string): string | undefined {
  const context = { ...pod.spec?.securityContext, ...container.securityContext };
  if (context.runAsNonRoot !== true) return undefined;
  const user = context.runAsUser ?? Number(imageUser.split(":")[0]);
  if (Number.isNaN(user)) return `container has runAsNonRoot and image has non-numeric user (${imageUser})`;
  return user === 0 ? "container has runAsNonRoot and image will run as root" : undefined;
}

function startFault({ code, output, memoryBytes }: ContainerEnd): string | undefined {
  if (startFaults.test(output)) return "cannot start";
  if (lacksCluster.test(output) || code === 0) return undefined;
  if (code === undefined) return memoryBytes >= leastMemoryBytes ? undefined : `has loaded ${memoryBytes} bytes`;
  return `ended with ${code}`;
}

function memoryFault({ code, memoryBytes }: ContainerEnd, { resources }: Container): string | undefined {
  const [, amount, unit] = /^(\d+)(Mi|Gi)$/.exec(resources?.requests?.["memory"] ?? "") ?? [];
  if (code !== undefined || amount === undefined) return undefined;
  const requestedMiB = Number(amount) * (unit === "Gi" ? 1024 : 1);
  const used = Math.ceil(memoryBytes / mebibyte);
  return used > requestedMiB ? `uses ${used} MiB and asks for ${requestedMiB}` : undefined;
}
