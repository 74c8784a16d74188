import { eventKind, type Event, type Pod } from "../../api/kubernetes/index.ts";
import { pluginProblemReason, pluginRemedyAnnotation } from "../../api/serin/index.ts";
import type { KubeClient } from "../client.ts";
import { undefinedIfForbidden } from "../status-error.ts";
import { podObstacle, type PodObstacle } from "./pod-obstacle.ts";

/**
 * How long to wait if the CNI plugin is missing. The agent may be about to write the plugin, and the kubelet then tries
 * again.
 */
const missingPluginPatienceMs = 15_000;
/**
 * How long to wait after an agent has reported a problem. Somebody may just have removed the cause, and the agent
 * notices only at the next call of its plugin.
 */
const toldPatienceMs = 15_000;
const maxCharacters = 1_000;
/** The number of pods whose events are read in each call. A DaemonSet may have thousands of pods. */
const maxAskedPods = 3;
/**
 * The kubelet's warnings about the creation of a pod. The pod already has a node, so the scheduler's warnings are
 * obsolete.
 */
const ofCreation = /^(Failed(?!Scheduling)|NetworkNotReady$)/;

/**
 * The most severe obstacle of the pods. While the kubelet creates a pod's sandbox and volumes, the obstacle contains
 * the kubelet's reason from its events, because a pod's status does not contain it. Undefined if no pod reports an
 * obstacle.
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
 * The kubelet's last warning about a pod whose sandbox or volumes the kubelet is still creating. Undefined for any
 * other pod, or if the caller may not read events.
 */
export async function creationProblem(client: Pick<KubeClient, "list">, pod: Pod): Promise<string | undefined> {
  if (!isBeingCreated(pod)) return undefined;
  const last = (await warningsOf(client, pod)).find(({ reason = "" }) => ofCreation.test(reason));
  return last?.message === undefined ? undefined : `${last.reason ?? "the kubelet"}: ${plain(last.message)}`;
}

/** The warnings about the pod, newest first. Empty if the caller may not read events. */
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

/**
 * The problem that an agent has reported by an event. The message ends with the remedy, which an annotation of the
 * event repeats.
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

/** The hint for a missing object that istiod creates. `kubectl describe pod` would not lead to the cause. */
function hintFor(message: string): string | undefined {
  return /configmap "istio-ca-root-cert" not found/.test(message)
    ? "istiod writes ConfigMap istio-ca-root-cert into each namespace, so make istiod ready first: kubectl get pods -A -l app=istiod"
    : undefined;
}

/** The message, shortened for a person, and without the parts that differ in each attempt. */
function plain(message: string): string {
  const text = message
    .replace(/^\(combined from similar events\): /, "")
    .replaceAll(/ ?"?[0-9a-f]{64}"?/g, "")
    .trim();
  return text.length <= maxCharacters ? text : `${text.slice(0, maxCharacters)}…`;
}
