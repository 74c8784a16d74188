import { eventKind, type Event, type Pod } from "../../api/kubernetes/index.ts";
import { pluginProblemReason, pluginRemedyAnnotation } from "../../api/serin/index.ts";
import type { KubeClient } from "../client.ts";
import { undefinedIfForbidden } from "../status-error.ts";
import { podObstacle, type PodObstacle } from "./pod-obstacle.ts";

/** How long to wait if the CNI plugin is missing. The agent may be about to write it, and the kubelet retries. */
const missingPluginPatienceMs = 15_000;
/**
 * How long to wait after an agent has reported a problem. Somebody may have just removed the cause, and the agent
 * notices this only when its plugin is called again.
 */
const toldPatienceMs = 15_000;
const maxCharacters = 1_000;
/** The maximum number of pods whose events are read in one call. A DaemonSet may have thousands of pods. */
const maxAskedPods = 3;
/**
 * Matches reasons of the kubelet's warnings about creating a pod. The scheduler's warnings are excluded, because the
 * pod already has a node.
 */
const ofCreation = /^(Failed(?!Scheduling)|NetworkNotReady$)/;

/**
 * Returns the most severe obstacle of the pods, or undefined if they report none. While the kubelet creates a pod's
 * sandbox and volumes, the reason comes from the kubelet's events, because the pod's status does not contain it.
 */
export async function findPodObstacle(
  client: Pick<KubeClient, "list">,
  pods: readonly Pod[],
): Promise<PodObstacle | undefined> {
  const found = podObstacle(pods);
  if (found?.patienceMs !== undefined) return found;
  for (const pod of pods.filter(isBeingCreated).slice(0, maxAskedPods)) {
    const message = await creationProblem(client, pod);
    if (message !== undefined) return obstacleOf(pod, message);
  }
  for (const pod of pods.filter(isUnreadyAgent).slice(0, maxAskedPods)) {
    const told = (await warningsOf(client, pod)).find(({ reason }) => reason === pluginProblemReason);
    if (told?.message !== undefined) return toldObstacle(pod, told, told.message);
  }
  return found;
}

/**
 * Returns the kubelet's last warning about a pod whose sandbox or volumes it is still creating. Returns undefined for
 * other pods, or if the caller may not read events.
 */
export async function creationProblem(client: Pick<KubeClient, "list">, pod: Pod): Promise<string | undefined> {
  if (!isBeingCreated(pod)) return undefined;
  const last = (await warningsOf(client, pod)).find(({ reason = "" }) => ofCreation.test(reason));
  return last?.message === undefined ? undefined : `${last.reason ?? "the kubelet"}: ${plain(last.message)}`;
}

/** Returns the warnings about a pod, newest first. Returns none if the caller may not read events. */
async function warningsOf(client: Pick<KubeClient, "list">, { metadata }: Pod): Promise<readonly Event[]> {
  const { namespace = "", uid = "" } = metadata;
  const fieldSelector = `involvedObject.uid=${uid},type=Warning`;
  const events = await undefinedIfForbidden(client.list(eventKind, { namespace, fieldSelector }));
  return (events?.items ?? []).toSorted((a, b) => ((a.lastTimestamp ?? "") < (b.lastTimestamp ?? "") ? 1 : -1));
}

function isUnreadyAgent({ metadata, status }: Pod): boolean {
  return (
    metadata.labels?.["k8s-app"] === "istio-cni-node" &&
    metadata.deletionTimestamp === undefined &&
    status?.phase === "Running" &&
    status.conditions?.find(({ type }) => type === "Ready")?.status !== "True"
  );
}

/** Whether the pod has a node, but the kubelet has not started any of its containers yet. */
function isBeingCreated({ metadata, spec, status }: Pod): boolean {
  const { phase = "Pending", conditions = [], initContainerStatuses = [], containerStatuses = [] } = status ?? {};
  const hasSandbox = conditions.some(
    ({ type, status: state }) => type === "PodReadyToStartContainers" && state === "True",
  );
  return (
    metadata.deletionTimestamp === undefined &&
    phase === "Pending" &&
    spec?.nodeName !== undefined &&
    !hasSandbox &&
    [...initContainerStatuses, ...containerStatuses].every(
      ({ state, lastState }) =>
        state?.running === undefined && (state?.terminated ?? lastState?.terminated) === undefined,
    )
  );
}

function subjectOf({ metadata, spec }: Pod): string {
  return `pod ${metadata.namespace ?? ""}/${metadata.name ?? ""} on node ${spec?.nodeName ?? ""}`;
}

/**
 * The obstacle that a CNI agent has reported by an event. The event's message ends with the remedy, which an annotation
 * contains too.
 */
function toldObstacle(pod: Pod, { metadata: { annotations = {} } }: Event, message: string): PodObstacle {
  const remedy = annotations[pluginRemedyAnnotation];
  const end = `. ${remedy ?? ""}`;
  const problem = remedy !== undefined && message.endsWith(end) ? message.slice(0, -end.length) : message;
  return { text: `${subjectOf(pod)}: ${problem}`, patienceMs: toldPatienceMs, hint: remedy };
}

function obstacleOf(pod: Pod, message: string): PodObstacle {
  const { name = "", namespace = "" } = pod.metadata;
  return {
    text: `${subjectOf(pod)}: ${message}`,
    ...(/failed to find plugin "?serin-cni/.test(message)
      ? {
          patienceMs: missingPluginPatienceMs,
          hint: "The container runtime looks for CNI plugins in other folders than the agent writes to. Install again with --set values.global.platform=… if your platform has a name there, or else with --set values.cni.cniBinDir=… and a folder of the message. Until then no pod starts on the node.",
        }
      : { patienceMs: undefined, hint: hintFor(message) ?? `kubectl describe pod -n ${namespace} ${name}` }),
  };
}

/** The hint for a missing object that istiod creates, because `kubectl describe pod` would not show the cause. */
function hintFor(message: string): string | undefined {
  return /configmap "istio-ca-root-cert" not found/.test(message)
    ? "istiod writes ConfigMap istio-ca-root-cert into each namespace, so make istiod ready first: kubectl get pods -A -l app=istiod"
    : undefined;
}

/** Shortens the message, and removes parts that differ in each attempt. */
function plain(message: string): string {
  const text = message
    .replace(/^\(combined from similar events\): /, "")
    .replaceAll(/ ?"?[0-9a-f]{64}"?/g, "")
    .trim();
  return text.length <= maxCharacters ? text : `${text.slice(0, maxCharacters)}…`;
}
