// Starts each distinct container of some pods with runc, and reports those that cannot run their program.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import type { Container, Pod } from "../../src/api/kubernetes/index.ts";
import { parseImageReference } from "../../src/cluster/images/image-reference.ts";
import type { NamedPod } from "./every-pod.ts";
import type { ImageStore } from "./image-store.ts";
import { leastMemoryBytes, runContainer, type ContainerEnd, type ContainerRun } from "./runc-container.ts";

export interface StartedContainers {
  readonly started: number;
  /** The name, the fault and the output of each container that cannot run. */
  readonly faults: readonly string[];
}

/**
 * The limit of the time that a container runs. It is long enough to load a whole program on a busy machine. A container
 * ends earlier when its program is idle.
 */
const runForMs = 30_000;
const runsAtOnce = 4;
/** The number of users to map, which is above every user that images and manifests name. */
const allUsers = 65_536;
const mebibyte = 1024 * 1024;
/**
 * Messages of a kubelet, a loader or the kernel for a program that cannot start, and of Node for a file that is missing
 * or not readable.
 */
const startFaults =
  /runc run failed|operation not permitted|executable file not found|no such file or directory: unknown|not found in \$PATH|permission denied|EACCES|EPERM|EROFS|read-only file system|Cannot find (module|package)|SyntaxError|error while loading shared libraries/i;
/** Messages of a program that ends because it has no cluster, no ConfigMap or no redirect. */
const lacksCluster =
  /ECONNREFUSED|cannot reach|kubeconfig|127\.0\.0\.1:6443|not redirected|cannot read the configuration/i;

/** The number of users in this user namespace. For root of a new one, that is 1. */
function mappedUsers(): number {
  const lines = readFileSync("/proc/self/uid_map", "utf8").trim().split("\n");
  return lines.reduce((sum, line) => sum + Number(line.trim().split(/\s+/)[2]), 0);
}

/** The reason why no container can start here. Undefined if one can. */
export function whyNotByRunc(): string | undefined {
  if (process.getuid?.() !== 0 || mappedUsers() < allUsers)
    return "containers run as several users, which runc can give them for root alone";
  return spawnSync("runc", ["--version"]).status === 0 ? undefined : "runc is missing: apt-get install runc";
}

/**
 * Starts the containers. Those that start in the same way run only once, and those whose images the store does not have
 * are skipped.
 */
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

/**
 * The reason for which a kubelet refuses to start the container: it would run as root, and its manifest forbids that.
 */
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
