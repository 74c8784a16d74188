import { istioLabels } from "../../../api/istio/index.ts";
import { matchesLabels } from "../../../api/index.ts";
import { serviceKind, type Pod } from "../../../api/kubernetes/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import type { CheckType } from "../../../api/serin/index.ts";
import type { CheckSubject, PlannedCheck, ReadyPods, WorkloadMatch } from "../../decide/index.ts";
import type { ClusterView } from "../cluster-view.ts";
import { isReady } from "../pod-reason.ts";
import { isServedElsewhere } from "../remote-endpoints.ts";
import { workloadOf } from "../sidecar-workloads.ts";
import { proxyPods, revisionOf } from "./proxies.ts";

export interface SubjectPods {
  readonly canary: readonly Pod[];
  readonly stable: readonly Pod[];
}

/** The maximum number of pods of each version in the result. */
const maxPods = 200;

/**
 * The pods of both versions, without those that have ended with success. A pod that belongs to both counts for the
 * canary.
 */
export async function podsOfSubject(
  client: KubeClient,
  view: ClusterView,
  subject: CheckSubject,
): Promise<SubjectPods> {
  const { canary, stable } = await sidesOf(client, view, subject);
  const ofCanary = new Set(canary);
  return { canary: canary.slice(0, maxPods), stable: stable.filter((pod) => !ofCanary.has(pod)).slice(0, maxPods) };
}

async function sidesOf(client: KubeClient, view: ClusterView, subject: CheckSubject): Promise<SubjectPods> {
  const live = view.pods.list().filter(({ status }) => status?.phase !== "Succeeded");
  switch (subject.type) {
    case "backends":
      return {
        canary: await backendPods(client, view, live, subject.canary),
        stable: await backendPods(client, view, live, subject.stable),
      };
    case "gatewayRevisions": {
      const pods = proxyPods(view).flatMap(({ pod }) =>
        pod.metadata.labels?.[istioLabels.gatewayName] === subject.gateway.name &&
        pod.metadata.namespace === subject.gateway.namespace
          ? [pod]
          : [],
      );
      return {
        canary: pods.filter((pod) => revisionOf(pod) === subject.canary),
        stable: pods.filter((pod) => revisionOf(pod) === subject.stable),
      };
    }
    case "revisions": {
      const chosen = live.filter(
        ({ metadata }) => subject.namespaces.length === 0 || subject.namespaces.includes(metadata.namespace ?? ""),
      );
      const meshed = chosen.filter((pod) => isOfMesh(pod));
      return {
        canary: meshed.filter((pod) => revisionOf(pod) === subject.canary),
        stable: meshed.filter((pod) => revisionOf(pod) === subject.stable),
      };
    }
    case "proxies":
      return { canary: live.filter((pod) => isOfMesh(pod) && revisionOf(pod) === subject.revision), stable: [] };
    case "probes":
      return { canary: live.filter((pod) => isOfMesh(pod) && subject.revisions.includes(revisionOf(pod))), stable: [] };
    case "mesh":
      return { canary: live.filter(isOfMesh), stable: [] };
  }
}

const ofRequests: ReadonlySet<CheckType> = new Set([
  "request-success-rate",
  "request-duration",
  "request-share",
  "tcp-connect-failures",
]);
/** The types of checks that get no new measurements without a pod of the canary. */
const ofPods: ReadonlySet<CheckType> = new Set([...ofRequests, "pod-health", "restarts", "error-log-rate"]);

/**
 * The numbers of ready pods of both versions. Undefined if the check does not depend on them, or if they are unknown.
 */
export async function readyPodsOfCheck(
  client: KubeClient,
  view: ClusterView,
  { spec, subject }: PlannedCheck,
): Promise<ReadyPods | undefined> {
  if (subject.type !== "backends" || !ofPods.has(spec.type)) return undefined;
  const { canary, stable } = subject;
  const sides = await view
    .recently(`sides ${JSON.stringify([canary, stable])}`, async () => await sidesOf(client, view, subject))
    .catch(() => undefined);
  if (sides === undefined) return undefined;
  const isServing = subject.expectedShare > 0 || subject.atLeast;
  const ready = sides.canary.filter(getsRequests).length;
  return {
    canary: ready,
    stable: await readyCount(view, sides.stable, stable),
    ...(ready === 0 && (await isServedElsewhere(view, canary)) ? { isElsewhere: true } : {}),
    isExpected: isServing && ofRequests.has(spec.type) && (sides.canary.length > 0 || isMade(view, canary)),
  };
}

/** The number of ready pods in this cluster. If there are none, 1 if other clusters serve the version. */
async function readyCount(view: ClusterView, pods: readonly Pod[], match: WorkloadMatch): Promise<number> {
  const here = pods.filter(getsRequests).length;
  return here > 0 ? here : (await isServedElsewhere(view, match)) ? 1 : 0;
}

export function isMade(view: ClusterView, { namespace, podLabels }: WorkloadMatch): boolean {
  if (podLabels === undefined) return false;
  return [...view.deployments.list(), ...view.statefulSets.list(), ...view.daemonSets.list()].some(
    ({ metadata, spec }) =>
      metadata.namespace === namespace && matchesLabels(podLabels, spec?.template.metadata?.labels),
  );
}

function getsRequests(pod: Pod): boolean {
  return pod.metadata.deletionTimestamp === undefined && isReady(pod);
}

/**
 * Whether a pod is a control plane, ztunnel, CNI agent, gateway or waypoint, or has a sidecar, judged by labels and
 * container names.
 */
function isOfMesh(pod: Pod): boolean {
  const { labels = {} } = pod.metadata;
  const app = labels["app"] ?? labels["k8s-app"] ?? "";
  if (["istiod", "ztunnel", "istio-cni-node"].includes(app) || labels[istioLabels.gatewayName] !== undefined)
    return true;
  return [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])].some(
    ({ name }) => name === "istio-proxy",
  );
}

/**
 * The pods of a version, by the first of these that the match contains: labels of pods, a workload, a Service with its
 * selector.
 */
async function backendPods(
  client: KubeClient,
  view: ClusterView,
  live: readonly Pod[],
  match: WorkloadMatch,
): Promise<readonly Pod[]> {
  const here = live.filter(({ metadata }) => metadata.namespace === match.namespace);
  const { podLabels, workload, service } = match;
  if (podLabels !== undefined) return here.filter(({ metadata }) => matchesLabels(podLabels, metadata.labels));
  if (workload !== undefined) return here.filter((pod) => workloadOf(pod).name === workload);
  if (service === undefined) return [];
  const found = await view.recently(
    `service ${match.namespace}/${service}`,
    async () => await client.get(serviceKind, service, match.namespace),
  );
  const selector = found?.spec?.selector;
  return selector === undefined || Object.keys(selector).length === 0
    ? []
    : here.filter(({ metadata }) => matchesLabels(selector, metadata.labels));
}
