import type { MeshUpgrade } from "../../../api/serin/index.ts";
import type { PlannedCheck, SettleCondition, Step, Write } from "../../decide/index.ts";
import { labelPointer, pointerSegment, reference } from "../references.ts";
import type { NamespaceInWave, PlannedWave } from "./waves.ts";
import type { WorkloadInWorld } from "./mesh-world.ts";
import { check, namedChecks } from "./planned-check.ts";

/** Says for which upgrade a workload's pods were made anew. */
export const restartedForAnnotation = "rollout.serin.dev/restarted-for";
export const revisionLabel = "istio.io/rev";
export const injectionLabel = "istio-injection";
const templateAnnotations = "/spec/template/metadata/annotations";
const templateLabels = "/spec/template/metadata/labels";

/** What stands in a restarted workload's template: another one for each upgrade, and the same after a crash. */
export function restartMark({ metadata, spec }: MeshUpgrade): string {
  return `${spec.to.revision}.${(metadata.uid ?? "").slice(0, 8)}`;
}

/** A namespace with sidecars: its label, then every workload of it, some at a time. One step, however many workloads. */
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
      { ...workload, byPodLabel: workload.byPodLabel || !namespace.whole },
      wave.mode === "ScaleFirst",
    ).map((write) => ({ ...write, undoGroup })),
  );
  return {
    id: `${wave.name}/${name}`,
    title: `namespace ${name}: sidecars of ${counted(workloads.length, "workload")} to ${to.revision}`,
    writes: [...labels, ...restarts],
    settle: settledWhen(upgrade, namespace),
    // A namespace without workloads has nobody to judge.
    checks: workloads.length === 0 ? [] : sidecarChecks(upgrade, wave, [name], probes),
    namespaces: [name],
    ordinal: number,
    // Each workload has its own time limit, from its restart on.
    patient: true,
  };
}

/** A namespace is one condition; of one that only some workloads of move, these are. */
function settledWhen(upgrade: MeshUpgrade, { name, whole, injection, workloads }: NamespaceInWave): SettleCondition[] {
  const { to, settleTimeoutSeconds } = upgrade.spec;
  const objects =
    whole && injection !== undefined ? [reference("v1", "Namespace", name)] : workloads.map(({ object }) => object);
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
 * The namespace names the new revision itself, also where it followed a tag: the tag moves when all have. `istio-injection`
 * goes last, as it wins over the other label while both are there.
 */
function labelWrites(
  { name, injection, whole }: NamespaceInWave,
  revision: string,
): Extract<Write, { type: "field" }>[] {
  if (injection === undefined || !whole) return [];
  const object = reference("v1", "Namespace", name);
  const named = { type: "field", object, pointer: labelPointer(revisionLabel), value: revision } as const;
  return injection.label === injectionLabel
    ? [named, { type: "field", object, pointer: labelPointer(injectionLabel) }]
    : [named];
}

/** Those that were restarted already, and as many more as may be under way at once; none before the label has arrived. */
function dueRestarts(
  { workloads, injection, labelled, whole }: NamespaceInWave,
  maxUnavailable: number,
): WorkloadInWorld[] {
  let free = maxUnavailable - workloads.filter(({ state }) => state === "moving").length;
  return workloads.filter((workload) => {
    if (workload.state !== "waiting") return true;
    const may = workload.heldBy === undefined && (workload.byPodLabel || !whole || injection === undefined || labelled);
    if (!may || free <= 0) return false;
    free -= 1;
    return true;
  });
}

/** All new pods are ready before an old one goes. */
const scaledFirst = { type: "RollingUpdate", rollingUpdate: { maxSurge: "100%", maxUnavailable: 0 } } as const;

function restartWrites(
  upgrade: MeshUpgrade,
  { object, byPodLabel }: WorkloadInWorld,
  scaleFirst: boolean,
): Extract<Write, { type: "field" }>[] {
  const { spec, status } = upgrade;
  if (object.kind === "Rollout") {
    const label: Extract<Write, { type: "field" }>[] = byPodLabel
      ? [
          {
            type: "field",
            object,
            pointer: `${templateLabels}/${pointerSegment(revisionLabel)}`,
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
        value: status?.step?.startedAt ?? status?.startedAt ?? "",
        restart: "time",
      },
    ];
  }
  const first: Extract<Write, { type: "field" }>[] =
    scaleFirst && object.kind === "Deployment"
      ? [{ type: "field", object, pointer: "/spec/strategy", value: scaledFirst }]
      : [];
  // A label of the pods themselves is a change of the template already.
  const changed = byPodLabel
    ? { pointer: `${templateLabels}/${pointerSegment(revisionLabel)}`, value: spec.to.revision }
    : { pointer: `${templateAnnotations}/${pointerSegment(restartedForAnnotation)}`, value: restartMark(upgrade) };
  return [...first, { type: "field", object, ...changed, restart: "template" }];
}

/** After a wave that scaled first: Deployments update again as they did before. */
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

export function counted(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}
