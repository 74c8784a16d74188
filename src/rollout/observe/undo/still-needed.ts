import { messageOf, rfc3339Seconds } from "../../../base/index.ts";
import { istioLabels } from "../../../api/istio/index.ts";
import type { UntypedObject } from "../../../api/index.ts";
import type { Pod, PodTemplate } from "../../../api/kubernetes/index.ts";
import { ztunnelOwnerAnnotation, type JournalEntry } from "../../../api/serin/index.ts";
import type { ObjectAccess } from "../../act/object-access.ts";
import type { StillServes } from "../../act/undo-context.ts";
import { movesTraffic } from "../../act/undo-order.ts";
import { copyLabel, restartedForAnnotation } from "../../plan/index.ts";
import type { ClusterView } from "../cluster-view.ts";
import { howToLeadAway, tagLedTo } from "../injectors.ts";
import { isInUse, podName } from "../live-pods.ts";
import { pilotPods, podOfProxy } from "../pilot-answers.ts";
import { isReady, whoChangesOwner } from "../pod-reason.ts";
import { dependentProxies } from "../served-proxies.ts";
import { howToRestart, workloadOf } from "../sidecar-workloads.ts";

/**
 * Why an object that the rollout has made must stay for now: requests, proxies or pods still need it. Undefined if undo
 * may delete it.
 */
export async function stillServes(
  { objects, view, nowMs }: { readonly objects: ObjectAccess; readonly view: ClusterView; readonly nowMs: number },
  { object }: JournalEntry,
): Promise<string | StillServes | undefined> {
  if (movesTraffic({ object })) return copyBehind(view, await objects.get(object));
  if (object.kind !== "Deployment" && object.kind !== "DaemonSet") return undefined;
  const labels = (await objects.get(object))?.metadata.labels ?? {};
  const revision = labels[istioLabels.revision] ?? /^(?:istiod|ztunnel)-(.+)$/.exec(object.name)?.[1];
  if (revision === undefined) return undefined;
  if (labels["app"] === "ztunnel" || object.name.startsWith("ztunnel")) return podOwnedBy(view, revision);
  if (labels["app"] === "istiod" || object.name.startsWith("istiod"))
    // While a tag points to the revision, new pods of the Gateways and namespaces that follow the tag get the revision,
    // so the tag must move first.
    return tagLedTo(view, revision, object) ?? podOfRevision(view, revision) ?? (await proxyOf(view, revision, nowMs));
  return undefined;
}

/**
 * Why the route must stay: a pod is left of a copy that the route's Canary has made and deleted. Without the route, the
 * Service would send requests to all of its pods alike, and the pods of a deleted Deployment end only after a while.
 */
function copyBehind(view: ClusterView, route: UntypedObject | undefined): string | undefined {
  const { namespace, ownerReferences = [] } = route?.metadata ?? {};
  const copy = livePods(view).find((pod) => {
    const role = pod.metadata.labels?.[copyLabel];
    if (role === undefined || pod.metadata.namespace !== namespace) return false;
    return ownerReferences.some(({ name }) => workloadOf(pod).name === `${name}-${role}`);
  });
  return copy === undefined ? undefined : `${podName(copy)} has not left yet, and would get requests without the route`;
}

/**
 * Whether an unready pod has a template that its Deployment no longer has, although all pods of the present template
 * exist. The Deployment's controller keeps such a pod while those of the present template are not ready either. So a
 * Deployment that was broken before the rollout keeps such a pod until a person repairs the Deployment.
 */
function isLeftBehind(view: ClusterView, pod: Pod): boolean {
  const { kind, name, namespace = "" } = workloadOf(pod);
  const found = kind === "Deployment" ? view.deployments.get(`${namespace}/${name}`) : undefined;
  if (found === undefined || isReady(pod)) return false;
  const { replicas = 1, template } = found.spec ?? {};
  const { updatedReplicas = 0, observedGeneration = 0 } = found.status ?? {};
  const isSeen = observedGeneration >= (found.metadata.generation ?? 0) && updatedReplicas >= replicas;
  return isSeen && [...marksOf(pod.metadata)].join() !== [...marksOf(template?.metadata)].join();
}

/** The values by which an upgrade restarts a workload, in the metadata of a pod or a template. */
function marksOf({ labels = {}, annotations = {} }: PodTemplate["metadata"] & object = {}): readonly string[] {
  return [labels[istioLabels.revision] ?? "", annotations[restartedForAnnotation] ?? ""];
}

function podOwnedBy(view: ClusterView, revision: string): string | undefined {
  const owned = livePods(view).find(({ metadata }) => metadata.annotations?.[ztunnelOwnerAnnotation] === revision);
  return owned === undefined
    ? undefined
    : `${podName(owned)} is still owned by ztunnel ${revision}${whoChangesOwner(owned)}`;
}

/** Why the revision's control plane must stay: a gateway, waypoint or injected pod still needs its configuration. */
function podOfRevision(view: ClusterView, revision: string): string | undefined {
  const found = livePods(view).find((pod) => {
    const { labels = {}, annotations = {} } = pod.metadata;
    if (labels[istioLabels.gatewayName] !== undefined) return labels[istioLabels.revision] === revision;
    const isInjected = annotations["sidecar.istio.io/status"] !== undefined;
    return isInjected && annotations[istioLabels.revision] === revision && !isLeftBehind(view, pod);
  });
  if (found === undefined) return undefined;
  const text = `${podName(found)} still runs at revision ${revision}`;
  if (found.metadata.labels?.[istioLabels.gatewayName] !== undefined) return text;
  // Undo restarts the workloads that the upgrade restarted. A person must restart pods that were added later, or whose
  // namespace somebody has moved to the revision after that restart.
  const first = howToLeadAway(view, found.metadata.namespace ?? "", revision);
  return `${text} (if it stays: ${first === undefined ? "" : `${first} && `}${howToRestart(view, found)})`;
}

/**
 * Why the revision's control plane must stay: it still serves proxies. Undefined if it does not run. A proxy of a pod
 * that is ending serves its last connections, for up to an hour by default.
 */
async function proxyOf(view: ClusterView, revision: string, nowMs: number): Promise<StillServes | undefined> {
  if (pilotPods(view, revision).length === 0) return undefined;
  try {
    const connected = (await dependentProxies(view, revision)).filter((id) => {
      const pod = podOfProxy(view, id);
      return pod === undefined || !isLeftBehind(view, pod);
    });
    if (connected.length === 0) return undefined;
    const names = connected.slice(0, 3).join(", ");
    const latestMs = connected.reduce((latest, id) => Math.max(latest, endMsOf(view, id)), -Infinity);
    if (latestMs === Infinity || latestMs + lateEndMs < nowMs)
      return { detail: `${names} ${connected.length === 1 ? "is" : "are"} still connected to it` };
    const until = rfc3339Seconds(latestMs);
    return {
      detail: `${names} ${connected.length === 1 ? "serves its" : "serve their"} last connections, until ${until} at the latest`,
      isEnding: true,
    };
  } catch (error) {
    return { detail: messageOf(error) };
  }
}

/** A pod may end this much later than announced, because a node may need a moment and clocks differ. */
const lateEndMs = 60_000;

/** When the pod of a proxy ends at the latest. Infinity if the pod is not being deleted. */
function endMsOf(view: ClusterView, id: string): number {
  const endsAt = podOfProxy(view, id)?.metadata.deletionTimestamp;
  return endsAt === undefined ? Infinity : Date.parse(endsAt);
}

function livePods(view: ClusterView): Pod[] {
  return view.pods.list().filter(isInUse);
}
