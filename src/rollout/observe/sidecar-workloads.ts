import { istioLabels } from "../../api/istio/index.ts";
import { matchesLabelSelector, type UntypedObject } from "../../api/index.ts";
import {
  delaysUpdate,
  podsTakenAtOnce,
  type DaemonSet,
  type Deployment,
  type Pod,
  type PodTemplate,
  type StatefulSet,
} from "../../api/kubernetes/index.ts";
import { fieldManager } from "../../api/serin/field-managers/index.ts";
import type { ObjectReference } from "../../api/serin/index.ts";
import {
  howToRestartHeld,
  reference,
  restartedForAnnotation,
  revisionLabel,
  type RestartObstacle,
} from "../plan/index.ts";
import type { ClusterView } from "./cluster-view.ts";
import { partitionOf, whyUnmovable, workloadObstacle } from "./workload-obstacle.ts";

export interface SidecarWorkload {
  readonly object: ObjectReference;
  readonly pods: readonly Pod[];
  /** Absent if the engine does not watch objects of this kind. */
  readonly found?: UntypedObject;
  /** Why a change of its template does not replace its pods. Absent if the change does. */
  readonly unmovable?: string;
}

const injectLabel = "sidecar.istio.io/inject";
const statusAnnotation = "sidecar.istio.io/status";
const hashLabels = { "pod-template-hash": "Deployment", "rollouts-pod-template-hash": "Rollout" } as const;

/**
 * The revision that injected a pod's sidecar. Undefined for pods without a sidecar, and for gateways, waypoints and
 * ztunnels, whose containers have the same name.
 */
export function sidecarRevision({ metadata, spec }: Pod): string | undefined {
  const { labels = {}, annotations = {} } = metadata;
  if (
    labels[istioLabels.gatewayName] !== undefined ||
    /^(IngressGateways|EgressGateways|Ztunnel)$/.test(labels[istioLabels.component] ?? "") ||
    labels["app"] === "ztunnel"
  )
    return undefined;
  // An operator or a person put the proxy into the pod's template. The new revision would not inject one, so a restart
  // cannot move this pod.
  const injects = labels[injectLabel] ?? annotations[injectLabel];
  if (injects === "false" && annotations[statusAnnotation] === undefined) return undefined;
  return hasProxy(spec) ? (annotations[revisionLabel] ?? "default") : undefined;
}

function hasProxy(spec: Pod["spec"]): boolean {
  return [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])].some(({ name }) => name === "istio-proxy");
}

/**
 * A live pod that has the upgrade's mark, but no sidecar: no injector handled the pod when the upgrade restarted its
 * workload.
 */
export function bareRestartedPod(
  view: ClusterView,
  { object, ...restart }: RestartMark & { readonly object: ObjectReference },
): Pod | undefined {
  const isNamespace = object.kind === "Namespace";
  const namespace = isNamespace ? object.name : object.namespace;
  return view.pods.list().find((pod) => {
    const { labels = {}, annotations = {} } = pod.metadata;
    if (pod.metadata.namespace !== namespace || !isLive(pod) || hasProxy(pod.spec)) return false;
    if ((labels[injectLabel] ?? annotations[injectLabel]) === "false") return false;
    const own = workloadOf(pod);
    if (!isNamespace && (own.kind !== object.kind || own.name !== object.name)) return false;
    return hasRestartMark(pod.metadata, foundIn(view, own), restart);
  });
}

export function isLive({ metadata, status }: Pod): boolean {
  return metadata.deletionTimestamp === undefined && (status?.phase === "Running" || status?.phase === "Pending");
}

/**
 * The workload that created the pod, derived from the pod's metadata alone. A pod without an owner is its own workload.
 */
export function workloadOf({ metadata }: Pod): ObjectReference {
  const namespace = metadata.namespace ?? "";
  const owner = metadata.ownerReferences?.find(({ controller }) => controller === true);
  if (owner === undefined) return reference("v1", "Pod", metadata.name ?? "", namespace);
  if (owner.kind === "ReplicaSet") {
    for (const [label, kind] of Object.entries(hashLabels)) {
      const hash = metadata.labels?.[label];
      if (hash === undefined || !owner.name.endsWith(`-${hash}`)) continue;
      return reference(
        kind === "Rollout" ? "argoproj.io/v1alpha1" : "apps/v1",
        kind,
        owner.name.slice(0, -hash.length - 1),
        namespace,
      );
    }
  }
  return reference(owner.apiVersion, owner.kind, owner.name, namespace);
}

/** The command with which a person replaces the pod, and usually the other pods of its workload. */
export function howToRestart(view: ClusterView, pod: Pod): string {
  const workload = workloadOf(pod);
  const { kind, name, namespace = "" } = workload;
  if (restartObstacle(view, workload, pod.metadata.name ?? "") === "held")
    return howToRestartHeld(namespace, name, pod.metadata.uid ?? "");
  if (kind === "Deployment" || kind === "StatefulSet" || kind === "DaemonSet")
    return `kubectl -n ${namespace} rollout restart ${kind.toLowerCase()}/${name}`;
  return `kubectl -n ${namespace} delete pod ${pod.metadata.name ?? ""}`;
}

/** What identifies the workloads that an upgrade has restarted. */
export interface RestartMark {
  readonly revision: string;
  readonly mark: string;
}

/**
 * The workloads with sidecars by namespace, sorted by kind and name. With `restart`, a workload that the upgrade has
 * restarted stays in the list while it has no pods: with the strategy Recreate, its old pods end before the new ones
 * start, and the API server may refuse the new ones.
 */
export function sidecarWorkloads(
  view: ClusterView,
  { only, restart }: { readonly only?: string; readonly restart?: RestartMark } = {},
): Map<string, SidecarWorkload[]> {
  const pods = new Map<string, { readonly object: ObjectReference; readonly pods: Pod[] }>();
  for (const pod of view.pods.list()) {
    if ((only !== undefined && pod.metadata.namespace !== only) || !isLive(pod) || sidecarRevision(pod) === undefined)
      continue;
    const object = workloadOf(pod);
    const key = `${object.namespace ?? ""} ${object.kind} ${object.name}`;
    const known = pods.get(key);
    if (known === undefined) pods.set(key, { object, pods: [pod] });
    else known.pods.push(pod);
  }
  for (const object of restart === undefined ? [] : restartedObjects(view, restart, only)) {
    const key = `${object.namespace ?? ""} ${object.kind} ${object.name}`;
    if (!pods.has(key)) pods.set(key, { object, pods: [] });
  }
  const byNamespace = new Map<string, SidecarWorkload[]>();
  for (const [, { object, pods: own }] of [...pods].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const found = foundIn(view, object);
    const unmovable = whyUnmovable(object, found);
    const workload = {
      object,
      pods: own,
      ...(found === undefined ? {} : { found }),
      ...(unmovable === undefined ? {} : { unmovable }),
    };
    byNamespace.set(object.namespace ?? "", [...(byNamespace.get(object.namespace ?? "") ?? []), workload]);
  }
  return byNamespace;
}

/** The workloads that have the upgrade's mark and should have pods. */
function* restartedObjects(view: ClusterView, restart: RestartMark, only?: string): Generator<ObjectReference> {
  const kinds = [
    ["Deployment", view.deployments.list(), ({ spec }: Deployment) => spec?.replicas ?? 1],
    ["StatefulSet", view.statefulSets.list(), ({ spec }: StatefulSet) => spec?.replicas ?? 1],
    ["DaemonSet", view.daemonSets.list(), ({ status }: DaemonSet) => status?.desiredNumberScheduled ?? 0],
  ] as const;
  for (const [kind, objects, podsOf] of kinds)
    for (const found of objects) {
      const { name = "", namespace = "" } = found.metadata;
      if (only !== undefined && namespace !== only) continue;
      const object = found as unknown as UntypedObject;
      if (podsOf(found as never) > 0 && hasRestartMark(templateOf(object), object, restart))
        yield reference("apps/v1", kind, name, namespace);
    }
}

/**
 * Whether a pod or a pod template has the upgrade's mark, or names the new revision in a label while the workload has a
 * write of the engine.
 */
function hasRestartMark(
  metadata: PodTemplate["metadata"],
  workload: UntypedObject | undefined,
  { revision, mark }: RestartMark,
): boolean {
  if (metadata?.annotations?.[restartedForAnnotation] === mark) return true;
  return metadata?.labels?.[revisionLabel] === revision && writtenAt(workload) > 0;
}

export function templateOf(found: UntypedObject | undefined): PodTemplate["metadata"] {
  return (found?.["spec"] as { template?: PodTemplate } | undefined)?.template?.metadata;
}

function foundIn(view: ClusterView, { kind, name, namespace = "" }: ObjectReference): UntypedObject | undefined {
  const key = `${namespace}/${name}`;
  const found =
    kind === "Deployment"
      ? view.deployments.get(key)
      : kind === "StatefulSet"
        ? view.statefulSets.get(key)
        : kind === "DaemonSet"
          ? view.daemonSets.get(key)
          : undefined;
  return found as UntypedObject | undefined;
}

/**
 * Why a restart of the workload does not replace this pod. A StatefulSet's partition is an obstacle only for pods with
 * a lower number.
 */
export function restartObstacle(
  view: ClusterView,
  workload: ObjectReference,
  pod: string,
): RestartObstacle | undefined {
  const found = foundIn(view, workload);
  const obstacle = found === undefined ? undefined : workloadObstacle(workload.kind, found);
  if (obstacle !== "partition" || found === undefined) return obstacle;
  return Number(pod.slice(pod.lastIndexOf("-") + 1)) < partitionOf(found) ? obstacle : undefined;
}

/**
 * When the engine last wrote to the object, in milliseconds since 1970, and 0 if it has not. This is usually the time
 * of the workload's restart.
 */
export function writtenAt(found: UntypedObject | undefined): number {
  const times = (found?.metadata.managedFields ?? [])
    .filter(({ manager }) => manager === fieldManager)
    .map(({ time }) => Date.parse(time ?? ""));
  return Math.max(0, ...times.filter((time) => !Number.isNaN(time)));
}

/**
 * Why a workload must not restart now: a PodDisruptionBudget allows too few disruptions. Kubernetes' rolling updates
 * ignore PodDisruptionBudgets, so the engine checks them.
 */
export function heldByBudget(view: ClusterView, { object, found, pods }: SidecarWorkload): string | undefined {
  const taken = podsTakenAtOnce(object.kind, found?.["spec"]);
  for (const { metadata, spec, status } of view.disruptionBudgets.list()) {
    if (
      metadata.namespace !== object.namespace ||
      spec?.selector === undefined ||
      !pods.some((pod) => matchesLabelSelector(spec.selector, pod.metadata.labels))
    )
      continue;
    const allowed = status?.disruptionsAllowed ?? 0;
    if (delaysUpdate(status, taken))
      return `${object.kind} ${object.namespace ?? ""}/${object.name} waits for PodDisruptionBudget ${metadata.name ?? ""}, which allows ${allowed} of ${taken} disruptions`;
  }
  return undefined;
}
