import { eventKind, type Event, type Pod } from "../../api/kubernetes/index.ts";
import { pluginProblemReason, pluginRemedyAnnotation } from "../../api/serin/index.ts";
import type { KubeClient } from "../client.ts";
import { undefinedIfForbidden } from "../status-error.ts";
import { podObstacle, type PodObstacle } from "./pod-obstacle.ts";

/** The time for the agent and the kubelet to try again, because the agent may be about to write the plugin. */
const missingPluginPatienceMs = 15_000;
/** The time for the agent to notice a call of its plugin, because somebody may just have removed the cause. */
const toldPatienceMs = 15_000;
const maxCharacters = 1_000;
/** How many pods are asked for their events at each look. A DaemonSet may have thousands. */
const maxAskedPods = 3;
/** Warnings of the kubelet about the creation of a pod. The pod has a node, so the scheduler's are obsolete. */
const ofCreation = /^(Failed(?!Scheduling)|NetworkNotReady$)/;

/**
 * The most severe obstacle of the pods, with the kubelet's reason while it creates a pod's sandbox and volumes. A pod's
 * status does not contain that reason. Undefined if no pod reports an obstacle.
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
 * The kubelet's last warning about a pod whose sandbox or volumes it is still making. Undefined for any other pod, and
 * if the caller may not read events.
 */
export async function creationProblem(client: Pick<KubeClient, "list">, pod: Pod): Promise<string | undefined> {
  if (!isBeingCreated(pod)) return undefined;
  const last = (await warningsOf(client, pod)).find(({ reason = "" }) => ofCreation.test(reason));
  return last?.message === undefined ? undefined : `${last.reason ?? "the kubelet"}: ${plain(last.message)}`;
}

/** The warnings about the pod, the last one first. None if the caller may not read events. */
async function warningsOf(client: Pick<KubeClient, "list">, { metadata }: Pod): Promise<readonly Event[]> {
  const { namespace = "", uid = "" } = metadata;
  const fieldSelector = `involvedObject.uid=${uid},type=Warning`;
  const events = await undefinedIfForbidden(client.list(eventKind, { namespace, fieldSelector }));
  return (events?.items ?? []).toSorted((a, b) => ((a.lastTimestamp ?? "") < (b.lastTimestamp ?? "") ? 1 : -1));
}

/** Whether the pod is a CNI agent that runs and is not ready. */
function isUnreadyAgent({ metadata, status }: Pod): boolean {
  return (
    metadata.labels?.["k8s-app"] === "istio-cni-node" &&
    metadata.deletionTimestamp === undefined &&
    status?.phase === "Running" &&
    status.conditions?.find(({ type }) => type === "Ready")?.status !== "True"
  );
}

/** Whether the pod has a node, and the kubelet has not started any of its containers. */
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

/** The problem that an agent has reported by an event. The event's annotation repeats the remedy of its message. */
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

/** The hint about an object that istiod writes. The description of the pod would not lead to the cause. */
function hintFor(message: string): string | undefined {
  return /configmap "istio-ca-root-cert" not found/.test(message)
    ? "istiod writes ConfigMap istio-ca-root-cert into each namespace, so make istiod ready first: kubectl get pods -A -l app=istiod"
    : undefined;
}

/** The message without what differs in each attempt, and not longer than a person reads. */
function plain(message: string): string {
  const text = message
    .replace(/^\(combined from similar events\): /, "")
    .replaceAll(/ ?"?[0-9a-f]{64}"?/g, "")
    .trim();
  return text.length <= maxCharacters ? text : `${text.slice(0, maxCharacters)}…`;
}
