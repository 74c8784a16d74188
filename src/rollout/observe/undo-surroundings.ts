import { messageOf, rfc3339Seconds, type Clock } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import type { Pod } from "../../api/kubernetes/index.ts";
import { ztunnelOwnerAnnotation, type JournalEntry, type ObjectReference } from "../../api/serin/index.ts";
import type { ObjectAccess } from "../act/object-access.ts";
import type { StillServes, UndoPass, UndoSurroundings } from "../act/perform.ts";
import { movesTraffic, partGivenBack } from "../act/undo-order.ts";
import { referenceKey, type SettleState } from "../decide/index.ts";
import { copyLabel, nextRootName, probeNamespace, reference } from "../plan/index.ts";
import type { ClusterView } from "./cluster-view.ts";
import type { EventAges } from "./event-ages.ts";
import { heldByInjector, howToLeadAway, tagLedTo } from "./injectors.ts";
import { isMadeBy } from "./operator-objects.ts";
import { notBroughtAbout, notInstalledText } from "./operator-progress.ts";
import { isReady, whoChangesOwner, withPodReason } from "./pod-reason.ts";
import { controlPlaneDeployments, isZtunnel, pilotPods, podOfProxy } from "./pilot-answers.ts";
import { observeAcknowledged, observeForgotten } from "./acknowledgements.ts";
import { dependentProxies } from "./served-proxies.ts";
import type { KubeClient } from "../../kube/index.ts";
import { reachableState } from "./settle/endpoints-state.ts";
import { readyState } from "./ready-state.ts";
import { rootsSettledState } from "./settle/root-conditions.ts";
import { howToRestart, workloadObstacle, workloadOf } from "./sidecar-workloads.ts";
import { isStranded } from "./stranded-pod.ts";
import { namespacesOf } from "./trusted-reporters.ts";
import { heldByGateway } from "./undo-gateways.ts";

const revisionLabel = "istio.io/rev";
const gatewayNameLabel = "gateway.networking.k8s.io/gateway-name";

export interface UndoSources {
  readonly client: KubeClient;
  readonly objects: ObjectAccess;
  readonly view: ClusterView;
  readonly clock: Clock;
  readonly ages: EventAges;
}

/** Reads from the cluster the conditions for which undo waits. */
export function undoSurroundings(
  { client, objects, view, clock, ages }: UndoSources,
  { entries, passOver }: UndoPass,
): UndoSurroundings {
  const asking = { concerned: namespacesOf(entries), withoutOthers: passOver };
  const ageMs = (key: string, atMs: number): number => ages.ageMs(key, atMs, Number.POSITIVE_INFINITY);
  return {
    nowMs: clock.nowMs(),
    heldBack: async (entry, current, found) =>
      (await heldByGateway({ objects, view }, entry, current, found)) ??
      (await heldByInjector({ objects, view }, entry, current)) ??
      (await heldByRoots(view, entry)),
    stillServes: async (entry) => {
      const detail =
        (await heldByRoots(view, entry)) ?? (await stillServes({ objects, view, nowMs: clock.nowMs() }, entry));
      return typeof detail === "string" ? { detail } : detail;
    },
    notReplaced: async (object, restartedAt) =>
      missingPods({ view, nowMs: clock.nowMs() }, object, await objects.get(object), restartedAt),
    notReady: async (object) => {
      const found = await objects.get(object);
      return reasonOf(withPodReason(readyState(found, object), found, view));
    },
    notInstalled: async (entry) => await notInstalledAgain({ objects, view, ages }, entry),
    notReached: async (object, isScaled) => {
      const found = await objects.get(object);
      const state = readyState(found, object, { ofAnyTemplate: isScaled });
      const notReady = reasonOf(withPodReason(state, found, view));
      return notReady ?? reasonOf(await reachableState({ client, view, ageMs, ...asking }, found));
    },
    notAcknowledged: async (object) =>
      reasonOf(
        await observeAcknowledged(view, {
          reference: object,
          object: await objects.get(object),
          ageMs,
          ...asking,
        }),
      ),
    notForgotten: async (object, isNow) => {
      const deletion = `deletion of ${referenceKey(object)}`;
      ages.notice(deletion, !isNow);
      return reasonOf(await observeForgotten(view, { reference: object, ...asking }, ageMs(deletion, 0)));
    },
  };
}

/**
 * What a workload lacks whose template undo has restored. Nothing replaces the pods of a workload that is paused, or
 * whose strategy leaves them alone, or whose nodes are lost, so undo waits for none of these.
 */
function missingPods(
  { view, nowMs }: { readonly view: ClusterView; readonly nowMs: number },
  object: ObjectReference,
  found: UntypedObject | undefined,
  restartedAt: string | undefined,
): { readonly detail: string; readonly left: number } | undefined {
  if (found === undefined || found.metadata.deletionTimestamp !== undefined) return undefined;
  if (restartedAt !== undefined) return olderPods(view, object, Date.parse(restartedAt));
  if (workloadObstacle(object.kind, found) !== undefined) return undefined;
  const state = withPodReason(readyState(found, object), found, view);
  if (state.state !== "waiting") return undefined;
  const { detail, left = 1 } = state;
  const stranded = view.pods.list().filter((pod) => isStranded(pod, nowMs) && isOf(pod, object));
  return stranded.length >= left ? undefined : { detail: `${detail}${howToReplace(view, object, found)}`, left };
}

function isOf(pod: Pod, { kind, name, namespace }: ObjectReference): boolean {
  const own = workloadOf(pod);
  return own.kind === kind && own.name === name && own.namespace === namespace;
}

const templateHashLabel = "controller-revision-hash";

/**
 * A StatefulSet waits until the pod that it replaced last is ready, also if that pod has a template that was taken back
 * because it never becomes ready. Empty if no such pod exists.
 */
function howToReplace(view: ClusterView, object: ObjectReference, found: UntypedObject): string {
  const { updateRevision } = (found["status"] ?? {}) as { readonly updateRevision?: string };
  if (object.kind !== "StatefulSet" || updateRevision === undefined) return "";
  const broken = livePods(view).find(
    (pod) => isOf(pod, object) && !isReady(pod) && pod.metadata.labels?.[templateHashLabel] !== updateRevision,
  );
  const name = broken?.metadata.name ?? "";
  return broken === undefined ? "" : ` (if it stays: kubectl -n ${object.namespace ?? ""} delete pod ${name})`;
}

/** The pods of a workload of any kind that its restart has not replaced yet. Times of pods have no milliseconds. */
function olderPods(
  view: ClusterView,
  object: ObjectReference,
  restartedAtMs: number,
): { readonly detail: string; readonly left: number } | undefined {
  const older = livePods(view).filter(
    (pod) => isOf(pod, object) && Date.parse(pod.metadata.creationTimestamp ?? "") + 1000 <= restartedAtMs,
  );
  const [first] = older;
  return first === undefined
    ? undefined
    : { detail: `${nameOf(first)} is from before its restart`, left: older.length };
}

function reasonOf(state: SettleState): string | undefined {
  return state.state === "met" ? undefined : state.detail;
}

/** Why an operator has not installed again yet what the entry's restored object contains. */
async function notInstalledAgain(
  { objects, view, ages }: { readonly objects: ObjectAccess; readonly view: ClusterView; readonly ages: EventAges },
  entry: JournalEntry,
): Promise<string | undefined> {
  const operator = await objects.get(entry.object);
  const part = partGivenBack(entry) ?? "pilot";
  const missing = notBroughtAbout(entry.object, operator, part, ages);
  if (missing !== undefined) return missing;
  const [kind, installed] =
    part === "ztunnel"
      ? (["DaemonSet", view.daemonSets.list().filter((daemonSet) => isZtunnel(view, daemonSet))] as const)
      : (["Deployment", controlPlaneDeployments(view)] as const);
  const own = installed.filter((workload) => isMadeBy(workload, entry.object, operator));
  if (own.length === 0) return notInstalledText(part);
  for (const workload of own) {
    const found = workload as unknown as UntypedObject;
    const { name = "", namespace } = workload.metadata;
    const object = reference("apps/v1", kind, name, namespace);
    const reason = reasonOf(withPodReason(readyState(found, object), found, view));
    if (reason !== undefined) return reason;
  }
  return undefined;
}

/** Undo reverts a stage of the root rotation only when all data planes have followed the current stage. */
async function heldByRoots(view: ClusterView, { object }: JournalEntry): Promise<string | undefined> {
  return object.kind === "Secret" && object.name === nextRootName ? reasonOf(await rootsSettledState(view)) : undefined;
}

async function stillServes(
  { objects, view, nowMs }: Pick<UndoSources, "objects" | "view"> & { readonly nowMs: number },
  { object }: JournalEntry,
): Promise<string | StillServes | undefined> {
  if (movesTraffic({ object })) return copyBehind(view, await objects.get(object));
  if (object.kind !== "Deployment" && object.kind !== "DaemonSet") return undefined;
  const labels = (await objects.get(object))?.metadata.labels ?? {};
  const revision = labels[revisionLabel] ?? /^(?:istiod|ztunnel)-(.+)$/.exec(object.name)?.[1];
  if (revision === undefined) return undefined;
  if (labels["app"] === "ztunnel" || object.name.startsWith("ztunnel")) return podOwnedBy(view, revision);
  if (labels["app"] === "istiod" || object.name.startsWith("istiod"))
    // While a tag points to the revision, new pods of Gateways and namespaces that follow the tag get the revision
    // again.
    return tagLedTo(view, revision, object) ?? podOfRevision(view, revision) ?? (await proxyOf(view, revision, nowMs));
  return undefined;
}

/**
 * Finds a pod of a copy that the Canary of this route has made and deleted. Without the route, the Service sends
 * requests to all of its pods alike, and a deleted Deployment's pods leave only after a while.
 */
function copyBehind(view: ClusterView, route: UntypedObject | undefined): string | undefined {
  const { namespace, ownerReferences = [] } = route?.metadata ?? {};
  const copy = livePods(view).find((pod) => {
    const role = pod.metadata.labels?.[copyLabel];
    if (role === undefined || pod.metadata.namespace !== namespace) return false;
    return ownerReferences.some(({ name }) => workloadOf(pod).name === `${name}-${role}`);
  });
  return copy === undefined ? undefined : `${nameOf(copy)} has not left yet, and would get requests without the route`;
}

function podOwnedBy(view: ClusterView, revision: string): string | undefined {
  const owned = livePods(view).find(({ metadata }) => metadata.annotations?.[ztunnelOwnerAnnotation] === revision);
  return owned === undefined
    ? undefined
    : `${nameOf(owned)} is still owned by ztunnel ${revision}${whoChangesOwner(owned)}`;
}

/**
 * Finds a gateway, waypoint or injected pod of the revision. These must end or move before the control plane that
 * configures them is removed.
 */
function podOfRevision(view: ClusterView, revision: string): string | undefined {
  const found = livePods(view).find(({ metadata: { labels = {}, annotations = {} } }) => {
    if (labels[gatewayNameLabel] !== undefined) return labels[revisionLabel] === revision;
    return annotations["sidecar.istio.io/status"] !== undefined && annotations[revisionLabel] === revision;
  });
  if (found === undefined) return undefined;
  const text = `${nameOf(found)} still runs at revision ${revision}`;
  if (found.metadata.labels?.[gatewayNameLabel] !== undefined) return text;
  // Undo restarts the workloads that the upgrade restarted. Only a person can restart pods that were added later, or
  // whose namespace somebody has moved to the revision since.
  const first = howToLeadAway(view, found.metadata.namespace ?? "", revision);
  return `${text} (if it stays: ${first === undefined ? "" : `${first} && `}${howToRestart(view, found)})`;
}

/**
 * Finds proxies that the revision's control plane serves. If the control plane does not run, there are none. Proxies of
 * pods that are ending serve their last connections, for up to an hour by default.
 */
async function proxyOf(view: ClusterView, revision: string, nowMs: number): Promise<StillServes | undefined> {
  if (pilotPods(view, revision).length === 0) return undefined;
  try {
    const connected = await dependentProxies(view, revision);
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

/** How much later than announced a pod may end. A node may need a moment, and clocks differ. */
const lateEndMs = 60_000;

/** When a proxy's pod that is being deleted is killed. Infinity if it stays. */
function endMsOf(view: ClusterView, id: string): number {
  const endsAt = podOfProxy(view, id)?.metadata.deletionTimestamp;
  return endsAt === undefined ? Infinity : Date.parse(endsAt);
}

function livePods(view: ClusterView) {
  return view.pods
    .list()
    .filter(
      ({ metadata, status }) =>
        metadata.deletionTimestamp === undefined &&
        metadata.namespace !== probeNamespace &&
        status?.phase !== "Succeeded" &&
        status?.phase !== "Failed",
    );
}

function nameOf({ metadata }: { readonly metadata: { readonly namespace?: string; readonly name?: string } }): string {
  return `${metadata.namespace ?? ""}/${metadata.name ?? ""}`;
}
