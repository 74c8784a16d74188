import type { Namespace, Pod, PodTemplate } from "../../../api/kubernetes/index.ts";
import { ztunnelOwnerAnnotation, type MeshUpgrade } from "../../../api/serin/index.ts";
import {
  annotationPointer,
  injectionLabel,
  labelPointer,
  probeNamespace,
  reference,
  restartedForAnnotation,
  restartMark,
  revisionLabel,
  type EnrolledPod,
  type NamespaceInjection,
  type NamespaceInWorld,
  type WorkloadInWorld,
} from "../../plan/index.ts";
import { choosesInjector } from "../../act/undo-order.ts";
import type { ClusterView } from "../cluster-view.ts";
import { injectorObstacle } from "../injectors.ts";
import { servedProxies } from "../served-proxies.ts";
import { heldByBudget, sidecarRevision, sidecarWorkloads, type SidecarWorkload } from "../sidecar-workloads.ts";
import { progressOf } from "../workload-progress.ts";
import type { PriorValues } from "./prior-values.ts";

/** What decided, besides their labels, which namespaces belonged to a revision before the upgrade. */
export interface NamespaceLeads {
  readonly tags: ReadonlyMap<string, string>;
  /** Whether the old revision has a name, but injects namespaces with `istio-injection: enabled` without a tag. */
  readonly injectsWithoutTag: boolean;
}

export interface NamespaceSources {
  readonly view: ClusterView;
  readonly upgrade: MeshUpgrade;
  readonly prior: PriorValues;
  readonly leads: NamespaceLeads;
}

const redirectionAnnotation = "ambient.istio.io/redirection";
const modeLabel = "istio.io/dataplane-mode";

/**
 * The namespaces that the upgrade concerns: those that select the old revision, have its sidecars, are ambient, or have
 * pods that a ztunnel serves.
 */
export async function observeNamespaces(sources: NamespaceSources): Promise<NamespaceInWorld[]> {
  const { view, upgrade } = sources;
  const workloads = sidecarWorkloads(view, {
    restart: { revision: upgrade.spec.to.revision, mark: restartMark(upgrade) },
  });
  const enrolled = enrolledPods(view);
  const served = upgrade.spec.scope.namespaces
    ? await servedProxies(view, upgrade.spec.to.revision).catch(() => [])
    : [];
  const connected = new Set(served.map(({ id }) => id));
  return view.namespaces
    .list()
    .filter(({ metadata }) => metadata.name !== probeNamespace && metadata.deletionTimestamp === undefined)
    .map((namespace) =>
      inWorld(
        sources,
        namespace,
        workloads.get(namespace.metadata.name ?? "") ?? [],
        enrolled.get(namespace.metadata.name ?? "") ?? [],
        connected,
      ),
    )
    .filter(
      ({ injection, workloads: own, leftToEnd, ambient, enrolledPods: pods }) =>
        injection !== undefined || own.length > 0 || leftToEnd.length > 0 || ambient || pods.length > 0,
    )
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

function inWorld(
  sources: NamespaceSources,
  { metadata }: Namespace,
  workloads: readonly SidecarWorkload[],
  enrolled: readonly EnrolledPod[],
  connected: ReadonlySet<string>,
): NamespaceInWorld {
  const { upgrade, prior, leads } = sources;
  const { from, to, scope } = upgrade.spec;
  const name = metadata.name ?? "";
  const object = reference("v1", "Namespace", name);
  const hasLeft = prior.has(object, labelPointer(revisionLabel)) && !choosesInjector(metadata.labels);
  const labels = hasLeft ? (metadata.labels ?? {}) : prior.labels(object, metadata.labels, metadata.uid);
  // After the old revision is removed, only a journal entry shows that the label selected its injector.
  const injectsWithoutTag = leads.injectsWithoutTag || prior.has(object, labelPointer(injectionLabel));
  const injection = scope.namespaces ? injectionOf(labels, { ...leads, injectsWithoutTag }, from.revision) : undefined;
  // If somebody has taken a namespace out of the mesh, the upgrade must not label its pods, because that would bring
  // them back into the mesh.
  const concerns = scope.namespaces && !hasLeft && (injection !== undefined || !choosesInjector(labels));
  const own = concerns
    ? workloads.flatMap((workload) => workloadInWorld(sources, workload, injection === undefined, connected))
    : [];
  const left = concerns ? workloads.flatMap((workload) => leftPods(workload, from.revision)) : [];
  return {
    name,
    labels,
    ...(injection === undefined ? {} : { injection }),
    labelled: metadata.labels?.[revisionLabel] === to.revision && metadata.labels[injectionLabel] === undefined,
    workloads: own,
    leftToEnd: left,
    ambient: labels[modeLabel] === "ambient",
    enrolledPods: enrolled,
  };
}

/**
 * The label by which the namespace selects the old revision. Undefined if it selects another one, or none.
 * `istio-injection` overrides `istio.io/rev`.
 */
export function injectionOf(
  labels: Readonly<Record<string, string>>,
  { tags, injectsWithoutTag }: NamespaceLeads,
  from: string,
): NamespaceInjection | undefined {
  const injected = labels[injectionLabel];
  const named = injected === undefined ? labels[revisionLabel] : injected === "enabled" ? "default" : undefined;
  // In an ambient namespace, the revision label may be meant for its gateways only.
  if (named === undefined || (labels[modeLabel] === "ambient" && injected !== "enabled")) return undefined;
  const label = injected === undefined ? revisionLabel : injectionLabel;
  const led = tags.get(named);
  const isUntagged = injectsWithoutTag && label === injectionLabel && led === undefined && named !== from;
  if (!isUntagged && (led ?? named) !== from) return undefined;
  // The label `istio-injection` follows the default revision, even if there is no tag `default`.
  const followsTag = !isUntagged && (led !== undefined || label === injectionLabel);
  return { label, value: labels[label] ?? "", ...(followsTag ? { tag: named } : {}) };
}

function workloadInWorld(
  { view, upgrade, prior, leads: { tags } }: NamespaceSources,
  workload: SidecarWorkload,
  byPods: boolean,
  connected: ReadonlySet<string>,
): WorkloadInWorld[] {
  const { object, pods, found, unmovable } = workload;
  const { from, to, settleTimeoutSeconds } = upgrade.spec;
  if (unmovable !== undefined) return [];
  const labelPath = `/spec/template${labelPointer(revisionLabel)}`;
  const template = (found?.["spec"] as { template?: PodTemplate } | undefined)?.template?.metadata;
  const podLabel = prior.value(
    object,
    labelPath,
    template?.labels?.[revisionLabel] ?? pods[0]?.metadata.labels?.[revisionLabel],
  );
  if (byPods && (tags.get(podLabel ?? "default") ?? podLabel ?? "default") !== from.revision) return [];
  const restarted = object.kind === "Rollout" && prior.has(object, "/spec/restartAt");
  const query = {
    revision: to.revision,
    mark: restartMark(upgrade),
    connected,
    // Without ages no workload is late. The condition of the step decides that; only the state matters here.
    ageMs: () => 0,
    withinMs: settleTimeoutSeconds * 1000,
    restarted,
  };
  const { state } = progressOf(workload, query);
  const isTouched = [labelPath, `/spec/template${annotationPointer(restartedForAnnotation)}`, "/spec/restartAt"].some(
    (pointer) => prior.has(object, pointer),
  );
  // A workload that had the new revision before this upgrade need not move.
  if (!isTouched && pods.every((pod) => sidecarRevision(pod) === to.revision)) return [];
  const heldBy =
    state === "waiting"
      ? (heldByBudget(view, workload) ?? injectorObstacle(view, object.namespace ?? "", to.revision))
      : undefined;
  const strategy: unknown =
    object.kind === "Deployment"
      ? prior.value(object, "/spec/strategy", (found?.["spec"] as { strategy?: unknown } | undefined)?.strategy)
      : undefined;
  return [
    {
      object,
      labels: template?.labels ?? pods[0]?.metadata.labels ?? {},
      byPodLabel: byPods,
      state,
      ...(heldBy === undefined ? {} : { heldBy }),
      ...(strategy === undefined ? {} : { strategy }),
    },
  ];
}

function leftPods({ object, pods, unmovable }: SidecarWorkload, from: string): string[] {
  if (unmovable === undefined) return [];
  return pods
    .filter((pod) => sidecarRevision(pod) === from)
    .map(
      ({ metadata }) =>
        `pod ${metadata.name ?? ""}${object.kind === "Pod" ? "" : ` of ${object.kind} ${object.name}`}: ${unmovable}`,
    );
}

function enrolledPods(view: ClusterView): Map<string, EnrolledPod[]> {
  const found = new Map<string, EnrolledPod[]>();
  for (const { metadata, spec } of view.pods.list().filter(isEnrolled)) {
    const namespace = metadata.namespace ?? "";
    const own = found.get(namespace) ?? [];
    own.push({
      name: metadata.name ?? "",
      namespace,
      node: spec?.nodeName ?? "",
      owner: metadata.annotations?.[ztunnelOwnerAnnotation] ?? "",
    });
    found.set(namespace, own);
  }
  for (const own of found.values()) own.sort((a, b) => (a.name < b.name ? -1 : 1));
  return found;
}

function isEnrolled({ metadata }: Pod): boolean {
  return (
    metadata.annotations?.[redirectionAnnotation] === "enabled" &&
    metadata.namespace !== probeNamespace &&
    metadata.deletionTimestamp === undefined
  );
}
