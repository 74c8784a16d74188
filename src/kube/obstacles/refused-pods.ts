import { daemonSetKind, deploymentKind, eventKind, statefulSetKind } from "../../api/kubernetes/index.ts";
import type { KubeClient } from "../client.ts";
import { denialIn, refusalHint, unansweredHint } from "../denial.ts";
import type { PodObstacle } from "./pod-obstacle.ts";

/**
 * How long to wait after the API server (PodSecurity, a quota, a webhook) has refused a pod. The workload's controller
 * retries within this time, and then a person must remove the cause.
 */
const patienceMs = 8_000;

export interface RefusedWorkload {
  readonly kind: "Deployment" | "DaemonSet" | "StatefulSet";
  readonly name: string;
  readonly namespace: string;
}

export interface PodRefusal extends PodObstacle {
  /** The API server's message, without the workload's name that {@link text} contains. */
  readonly refusal: string;
}

/**
 * Returns the API server's last refusal of a pod of the workload, or undefined if it lacks no pod. A refused pod does
 * not exist, so the message comes from events and conditions of its controller.
 */
export async function refusedPods(client: KubeClient, workload: RefusedWorkload): Promise<PodRefusal | undefined> {
  const { kind, namespace, name } = workload;
  const refusal = await refusalOf(client, workload);
  return refusal === undefined
    ? undefined
    : { text: `${kind} ${namespace}/${name}: ${refusal}`, refusal, patienceMs, hint: hintOf(refusal, namespace) };
}

async function refusalOf(client: KubeClient, workload: RefusedWorkload): Promise<string | undefined> {
  const { kind, namespace, name } = workload;
  if (kind === "Deployment") {
    const found = await client.get(deploymentKind, name, namespace);
    const failure = found?.status?.conditions?.find(
      ({ type, status }) => type === "ReplicaFailure" && status === "True",
    );
    return failure === undefined ? undefined : (failure.message ?? failure.reason ?? "the API server refuses its pods");
  }
  const uid = await uidIfPodsLack(client, workload);
  if (uid === undefined) return undefined;
  // Search by uid, because events of a former object with the same name may still exist.
  const fieldSelector = `involvedObject.uid=${uid},reason=FailedCreate`;
  const { items } = await client.list(eventKind, { namespace, fieldSelector });
  const last = items.toSorted((a, b) => ((a.lastTimestamp ?? "") < (b.lastTimestamp ?? "") ? 1 : -1))[0];
  return last?.message?.replace(/^\(combined from similar events\): /, "");
}

/** Returns the uid of the workload if it lacks pods. If it lacks none, events of earlier refusals no longer matter. */
async function uidIfPodsLack(
  client: KubeClient,
  { kind, namespace, name }: RefusedWorkload,
): Promise<string | undefined> {
  if (kind === "DaemonSet") {
    const found = await client.get(daemonSetKind, name, namespace);
    const { currentNumberScheduled = 0, desiredNumberScheduled = 0 } = found?.status ?? {};
    return currentNumberScheduled < desiredNumberScheduled ? found?.metadata.uid : undefined;
  }
  const found = await client.get(statefulSetKind, name, namespace);
  return (found?.status?.replicas ?? 0) < (found?.spec?.replicas ?? 1) ? found?.metadata.uid : undefined;
}

/** Matches refusals by a LimitRange, and refusals because of a limit that a LimitRange has given to a container. */
const byLimitRange =
  /\b(maximum|minimum) [\w./-]+ usage per (Container|Pod) is|limit to request ratio|must be less than or equal to [\w./-]+ limit of /;

function hintOf(text: string, namespace: string): string {
  if (text.includes("violates PodSecurity"))
    return `The namespace's PodSecurity refuses the pods: kubectl label namespace ${namespace} pod-security.kubernetes.io/enforce=privileged --overwrite`;
  if (text.includes("exceeded quota") || text.includes("failed quota"))
    return `A ResourceQuota refuses the pods: kubectl describe quota -n ${namespace}. Raise it, or give the containers the requests and limits that it counts.`;
  // GKE admits pods with the priority classes `system-node-critical` and `system-cluster-critical` only in namespaces
  // with a quota for the class.
  if (text.includes("insufficient quota to match these scopes"))
    return `The platform admits pods of this priority class only beside a ResourceQuota for it in namespace ${namespace}. On GKE, install with --set values.global.platform=gke, elsewhere with --set values.cni.resourceQuotas.enabled=true.`;
  if (byLimitRange.test(text))
    return `A LimitRange does not admit the pods, or gives them limits below their requests: kubectl describe limitrange -n ${namespace}. Change it, or give the containers requests and limits that it admits.`;
  const [, priorityClass] = /no PriorityClass with name (\S+) was found/.exec(text) ?? [];
  if (priorityClass !== undefined)
    return `Create the PriorityClass ${priorityClass}, or install with another --set values.global.priorityClassName=….`;
  const refusal = refusalHint(text);
  if (refusal !== undefined) return `${refusal}.`;
  const denial = denialIn(text);
  if (denial !== undefined)
    return `The ${denial.by === "webhook" ? "admission webhook" : "ValidatingAdmissionPolicy"} ${denial.name} refuses the pods: do what it asks for, or exempt the namespace ${namespace} from it.`;
  const unanswered = unansweredHint(text);
  if (unanswered !== undefined) return `${unanswered[0]?.toUpperCase()}${unanswered.slice(1)}.`;
  return "The API server refuses the pods: fix the cause that the message names.";
}
