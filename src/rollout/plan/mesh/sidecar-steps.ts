import { counted } from "../../../base/index.ts";
import { istioLabels } from "../../../api/istio/index.ts";
import type { MeshUpgrade } from "../../../api/serin/index.ts";
import { restartTime, type PlannedCheck, type SettleCondition, type Step, type Write } from "../../decide/index.ts";
import { annotationPointer, labelPointer, reference } from "../references.ts";
import type { NamespaceInWave, PlannedWave } from "./waves.ts";
import type { WorkloadInWorld } from "./mesh-world.ts";
import { check, namedChecks } from "./planned-check.ts";

/** The annotation that names the upgrade for which a workload was restarted. */
export const restartedForAnnotation = "rollout.serin.dev/restarted-for";
export const revisionLabel = "istio.io/rev";
export const injectionLabel = "istio-injection";
export const tagLabel = istioLabels.tag;

/**
 * The mark in a restarted workload's template. It differs between upgrades, and stays the same after a crash of the
 * engine.
 */
export function restartMark({ metadata, spec }: MeshUpgrade): string {
  return `${spec.to.revision}.${(metadata.uid ?? "").slice(0, 8)}`;
}

/** Moves the sidecars of a namespace in one step: first its label, then its workloads, a few at a time. */
export function sidecarStep(
  upgrade: MeshUpgrade,
  { wave, number }: PlannedWave,
  namespace: NamespaceInWave,
  probes: PlannedCheck,
): Step {
  const { to } = upgrade.spec;
  const { workloads, name } = namespace;
  const undoGroup = `sidecars of ${name}`;
  const labels = labelWrites(namespace, to.revision).map((write) => ({ ...write, undoGroup }));
  const restarted = dueRestarts(namespace, wave.maxUnavailable);
  const restarts = restarted.flatMap((workload) =>
    restartWrites(
      upgrade,
      { ...workload, byPodLabel: workload.byPodLabel || !namespace.isWhole },
      wave.mode === "ScaleFirst",
    ).map((write) => ({ ...write, undoGroup })),
  );
  return {
    id: `${wave.name}/${name}`,
    title: `namespace ${name}: sidecars of ${counted(workloads.length, "workload")} to ${to.revision}`,
    writes: [...labels, ...restarts],
    settle: settledWhen(upgrade, namespace),
    // In a namespace without workloads, the checks have nothing to measure.
    checks: workloads.length === 0 ? [] : sidecarChecks(upgrade, wave, [name], probes),
    namespaces: [name],
    ordinal: number,
    // Each workload has its own time limit, which starts with its restart.
    patient: true,
  };
}

/**
 * The conditions of a step. A whole namespace that its label injects has one condition. Otherwise each workload that
 * moves has its own.
 */
function settledWhen(
  upgrade: MeshUpgrade,
  { name, isWhole, injection, workloads }: NamespaceInWave,
): SettleCondition[] {
  const { to, settleTimeoutSeconds } = upgrade.spec;
  const objects =
    isWhole && injection !== undefined ? [reference("v1", "Namespace", name)] : workloads.map(({ object }) => object);
  return objects.map((object) => ({
    type: "workloadRevision",
    object,
    revision: to.revision,
    mark: restartMark(upgrade),
    withinMs: settleTimeoutSeconds * 1000,
  }));
}

export function sidecarChecks(
  upgrade: MeshUpgrade,
  wave: PlannedWave["wave"],
  namespaces: readonly string[],
  probes: PlannedCheck,
): PlannedCheck[] {
  const { from, to } = upgrade.spec;
  const planned = [probes, check(upgrade, "xds-nacks", { type: "proxies", revision: to.revision }, wave)];
  return namedChecks(
    upgrade,
    planned,
    { type: "revisions", canary: to.revision, stable: from.revision, namespaces },
    wave,
  );
}

/**
 * Labels the namespace with the new revision, even if it followed a tag, because the tag moves only after all
 * namespaces. `istio-injection` is removed last, because it overrides the other label while both exist.
 */
function labelWrites(
  { name, injection, isWhole }: NamespaceInWave,
  revision: string,
): Extract<Write, { type: "field" }>[] {
  if (injection === undefined || !isWhole) return [];
  const object = reference("v1", "Namespace", name);
  const named = { type: "field", object, pointer: labelPointer(revisionLabel), value: revision } as const;
  return injection.label === injectionLabel
    ? [named, { type: "field", object, pointer: labelPointer(injectionLabel) }]
    : [named];
}

/**
 * The workloads that have restarted, and those that may restart next. A workload that its namespace's label injects may
 * not restart before that label names the new revision.
 */
function dueRestarts(
  { workloads, injection, labelled, isWhole }: NamespaceInWave,
  maxUnavailable: number,
): WorkloadInWorld[] {
  let free = maxUnavailable - workloads.filter(({ state }) => state === "moving").length;
  return workloads.filter((workload) => {
    if (workload.state !== "waiting") return true;
    const may =
      workload.heldBy === undefined && (workload.byPodLabel || !isWhole || injection === undefined || labelled);
    if (!may || free <= 0) return false;
    free -= 1;
    return true;
  });
}

/** The update strategy with which all new pods are ready before an old one ends. */
const scaledFirst = { type: "RollingUpdate", rollingUpdate: { maxSurge: "100%", maxUnavailable: 0 } } as const;

function restartWrites(
  upgrade: MeshUpgrade,
  { object, byPodLabel }: WorkloadInWorld,
  scaleFirst: boolean,
): Extract<Write, { type: "field" }>[] {
  const { spec, status } = upgrade;
  if (object.kind === "Rollout") {
    const startedAt = status?.step?.startedAt ?? status?.startedAt;
    const label: Extract<Write, { type: "field" }>[] = byPodLabel
      ? [
          {
            type: "field",
            object,
            pointer: `/spec/template${labelPointer(revisionLabel)}`,
            value: spec.to.revision,
          },
        ]
      : [];
    return [
      ...label,
      {
        type: "field",
        object,
        pointer: "/spec/restartAt",
        value: startedAt === undefined ? "" : restartTime(Date.parse(startedAt)),
        restart: "time",
      },
    ];
  }
  const first: Extract<Write, { type: "field" }>[] =
    scaleFirst && object.kind === "Deployment"
      ? [{ type: "field", object, pointer: "/spec/strategy", value: scaledFirst }]
      : [];
  // If the pods themselves carry the revision label, writing the label already changes the template and restarts them.
  const changed = byPodLabel
    ? { pointer: `/spec/template${labelPointer(revisionLabel)}`, value: spec.to.revision }
    : { pointer: `/spec/template${annotationPointer(restartedForAnnotation)}`, value: restartMark(upgrade) };
  return [...first, { type: "field", object, ...changed, restart: "template" }];
}

/** Restores the update strategies of Deployments after a wave with the mode ScaleFirst. */
export function strategyWrites({ workloads }: NamespaceInWave): Write[] {
  return workloads
    .filter(({ object }) => object.kind === "Deployment")
    .map(({ object, strategy }) => ({
      type: "field",
      object,
      pointer: "/spec/strategy",
      ...(strategy === undefined ? {} : { value: strategy }),
    }));
}
