import { messageOf, ownField } from "../../base/index.ts";
import type { ContainerStatus, Pod } from "../../api/kubernetes/index.ts";
import type { KubeClient } from "../client.ts";
import { podLogPath } from "../resource-path.ts";

const logLines = 5;
const maxLogCharacters = 2_000;
/** The beginning of the kubelet's response if it has already removed the log. Its status is 200. */
const kubeletHasNoLog = "unable to retrieve container logs for ";

/** Why a pod does not become ready, as the kubelet, the scheduler or the API server reports it. */
export interface PodObstacle {
  /** A description, such as `pod shop/web-1: container app: ErrImagePull: manifest unknown`. */
  readonly text: string;
  /** The time after which waiting no longer helps. Undefined if the pod may just need more time. */
  readonly patienceMs: number | undefined;
  readonly hint: string | undefined;
  /** The crashed container, if there is one. Its log contains the reason. */
  readonly crashed?: CrashedContainer;
}

export interface CrashedContainer {
  readonly pod: string;
  readonly container: string;
  /** Which run of the container crashed. The kubelet has a log of the current and of the previous run. */
  readonly run: "current" | "previous";
}

interface Reason {
  readonly patienceMs: number;
  readonly hint: string;
}

const image: Reason = {
  patienceMs: 10_000,
  hint: "Check the image's name and tag (--set hub=…, --set tag=…), and that the node may pull it: its registry, its credentials (imagePullSecrets), or an image that was loaded into the node.",
};
const configuration: Reason = {
  patienceMs: 5_000,
  hint: "The container's specification and its image do not fit together, or an object that it names is missing. The kubelet gives the reason.",
};
const crashes: Reason = { patienceMs: 10_000, hint: "The container's log shows why it ended." };
const memory: Reason = {
  ...crashes,
  hint: "The container needs more memory than its limit: raise resources.limits.memory of its component, or of the LimitRange that gave it the limit.",
};
const noStart: Reason = {
  ...crashes,
  hint: "The container runtime could not start the container's program, and says why. Its log is empty.",
};
const unschedulable: Reason = {
  patienceMs: 30_000,
  hint: "No node can take the pod. Add a node, free its resources, or change the pod's requests, selectors or tolerations.",
};
const tainted: Reason = {
  ...unschedulable,
  hint: "No node can take the pod, because it does not tolerate their taints: kubectl get nodes -o custom-columns=NODE:.metadata.name,TAINTS:.spec.taints. Add a node without a taint, or give the pod a toleration (values.global.defaultTolerations for the mesh's pods).",
};

/** The reasons of waiting containers that need a person, by the kubelet's names. */
const waitingReasons: Readonly<Record<string, Reason>> = {
  ErrImagePull: image,
  ImagePullBackOff: image,
  ErrImageNeverPull: image,
  InvalidImageName: image,
  CreateContainerConfigError: configuration,
  CreateContainerError: configuration,
  RunContainerError: configuration,
  CrashLoopBackOff: crashes,
};

/**
 * The number of restarts from which a crash is an obstacle. The first crashes may come from a race with a dependency.
 */
const crashesThatCount = 3;

/**
 * Returns the most severe obstacle of the pods, or undefined if they report none. Skips pods that are being deleted.
 */
export function podObstacle(pods: readonly Pod[]): PodObstacle | undefined {
  const found = pods
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .flatMap((pod) => obstaclesOf(pod));
  return found.find(({ patienceMs }) => patienceMs !== undefined) ?? found[0];
}

function obstaclesOf(pod: Pod): PodObstacle[] {
  const { name = "", namespace = "" } = pod.metadata;
  const node = pod.spec?.nodeName;
  const subject = `pod ${namespace}/${name}${node === undefined ? "" : ` on node ${node}`}`;
  const {
    initContainerStatuses = [],
    containerStatuses = [],
    conditions = [],
    message,
    phase,
    reason,
  } = pod.status ?? {};
  const scheduled = conditions.find(({ type }) => type === "PodScheduled");
  if (scheduled?.status === "False") {
    // The scheduler's message may not name the taint.
    const { patienceMs, hint } = /\buntolerated taint/.test(scheduled.message ?? "") ? tainted : unschedulable;
    return [{ text: `${subject}: ${join([scheduled.reason, scheduled.message])}`, patienceMs, hint }];
  }
  if (phase === "Failed")
    return [
      {
        text: `${subject}: ${join([reason ?? phase, message])}`,
        patienceMs: configuration.patienceMs,
        hint: undefined,
      },
    ];
  return [...initContainerStatuses, ...containerStatuses].flatMap((status) => {
    const obstacle = containerObstacle(status);
    if (obstacle === undefined) return [];
    const { text, ...rest } = obstacle;
    const hint = rest.hint === image.hint ? `${pullSecretsText(pod)}${image.hint}` : rest.hint;
    return [{ text: `${subject}: container ${status.name}: ${text}`, ...rest, hint, ...crashedIn(status, name) }];
  });
}

/**
 * Names the pod's pull Secrets. If a Secret is missing, the kubelet pulls without credentials and reports nothing about
 * it.
 */
function pullSecretsText({ metadata: { namespace = "" }, spec }: Pod): string {
  const names = (spec?.imagePullSecrets ?? []).map(({ name }) => name);
  if (names.length === 0) return "";
  return `Images are pulled with Secret ${names.join(", ")}, which must exist in namespace ${namespace}: kubectl get secret -n ${namespace} ${names.join(" ")}. `;
}

function containerObstacle(status: ContainerStatus): Omit<PodObstacle, "crashed"> | undefined {
  const { state, restartCount, lastState } = status;
  if (state?.terminated !== undefined) return endedObstacle(status);
  const waiting = state?.waiting;
  if (waiting?.reason === undefined || waiting.reason === "PodInitializing") return undefined;
  const known = ownField(waitingReasons, waiting.reason);
  const ended = lastState?.terminated;
  const text = join([waiting.reason, waiting.message, ended === undefined ? undefined : endText(ended)]);
  if (known === undefined || (known === crashes && restartCount < crashesThatCount))
    return { text, patienceMs: undefined, hint: undefined };
  return { text, ...(known === crashes ? crashReason(ended) : known) };
}

/**
 * The obstacle of a container that has ended with a failure. The kubelet reports CrashLoopBackOff a minute or more
 * after the crash.
 */
function endedObstacle({ state, restartCount }: ContainerStatus): Omit<PodObstacle, "crashed"> | undefined {
  const ended = state?.terminated;
  if (ended === undefined || ended.exitCode === 0) return undefined;
  const text = `${endText(ended)}, after ${restartCount} restarts`;
  return restartCount < crashesThatCount
    ? { text, patienceMs: undefined, hint: undefined }
    : { text, ...crashReason(ended) };
}

/** The reason of a crash. The kernel kills a process that exceeds its memory limit, and then the log shows nothing. */
function crashReason(ended: { readonly reason?: string } | undefined): Reason {
  if (neverRan.has(ended?.reason ?? "")) return noStart;
  return ended?.reason === "OOMKilled" ? memory : crashes;
}

interface EndedRun {
  readonly exitCode: number;
  readonly reason?: string;
  readonly message?: string;
}

/** Reasons of containers whose program was never started. There is no log, and the runtime's message has the cause. */
const neverRan: ReadonlySet<string> = new Set(["StartError", "ContainerCannotRun"]);

function endText({ exitCode, reason = "", message }: EndedRun): string {
  const why = neverRan.has(reason) && message !== undefined ? `: ${message.trim()}` : "";
  return `it ended with ${exitCode}${reason === "" ? "" : ` (${reason})`}${why}`;
}

function crashedIn({ state, lastState, name }: ContainerStatus, pod: string): Pick<PodObstacle, "crashed"> {
  if (neverRan.has((state?.terminated ?? lastState?.terminated)?.reason ?? "")) return {};
  if (state?.terminated !== undefined) return { crashed: { pod, container: name, run: "current" } };
  return state?.waiting?.reason === "CrashLoopBackOff" && lastState?.terminated !== undefined
    ? { crashed: { pod, container: name, run: "previous" } }
    : {};
}

function join(parts: readonly (string | undefined)[]): string {
  return parts.filter((part) => part !== undefined && part !== "").join(": ");
}

/**
 * Returns the last log lines of a crashed container, to append to a message, or the reason why they cannot be read. The
 * text begins with a line break.
 */
export async function crashLog(client: KubeClient, namespace: string, crashed: CrashedContainer): Promise<string> {
  const pod = { namespace, name: crashed.pod };
  const parameters = { container: crashed.container, tailLines: String(logLines) };
  const runs = [podLogPath(pod, parameters), podLogPath(pod, { ...parameters, previous: "true" })];
  if (crashed.run === "previous") runs.reverse();
  let refusal: string | undefined;
  // The kubelet may have removed one of the logs, or have started another run meanwhile.
  for (const path of runs) {
    const log = await readLog(client, path);
    if (log.text !== "") return `\n  its last lines:\n${log.text.slice(-maxLogCharacters).replaceAll(/^/gm, "    ")}`;
    refusal ??= log.refusal;
  }
  return `\n  its log ${refusal === undefined ? "is empty" : `cannot be read: ${refusal}`}`;
}

async function readLog(
  client: KubeClient,
  path: string,
): Promise<{ readonly text: string; readonly refusal?: string }> {
  try {
    const answer = await client.raw("GET", path);
    const text = answer.text.trim();
    if (answer.status !== 200) return { text: "", refusal: `${answer.status} ${text}` };
    return text.startsWith(kubeletHasNoLog) ? { text: "", refusal: text } : { text };
  } catch (error) {
    return { text: "", refusal: messageOf(error) };
  }
}
