import type { SettleCondition, SettleState } from "../../decide/index.ts";
import type { ClusterView } from "../cluster-view.ts";
import type { AgeOfEvent } from "../event-ages.ts";
import { servedProxies } from "../pilots.ts";
import { heldByBudget, progressOf, sidecarWorkloads, type SidecarWorkload } from "../sidecar-workloads.ts";

type WorkloadCondition = Extract<SettleCondition, { type: "workloadRevision" }>;

/**
 * Whether one workload, or all of a namespace, have sidecars of the revision. Pods that no restart moves do not count
 * here.
 */
export async function workloadState(
  view: ClusterView,
  { object, revision, mark, withinMs }: WorkloadCondition,
  ageMs: AgeOfEvent,
): Promise<SettleState> {
  const namespace = object.kind === "Namespace" ? object.name : (object.namespace ?? "");
  const all = sidecarWorkloads(view, namespace).get(namespace) ?? [];
  const asked = all.filter(
    ({ unmovable, object: own }) =>
      unmovable === undefined &&
      (object.kind === "Namespace" || (own.kind === object.kind && own.name === object.name)),
  );
  const connected = new Set((await servedProxies(view, revision)).map(({ id }) => id));
  const progress = asked.map((workload) => ({
    workload,
    ...progressOf(workload, { revision, mark, connected, ageMs, withinMs }),
  }));
  const failed = progress.find((one) => one.failed === true);
  if (failed !== undefined) return { state: "failed", detail: `${namespace}: ${failed.detail}` };
  const moving = progress.filter(({ state }) => state === "moving");
  const waiting = progress.filter(({ state }) => state === "waiting");
  if (moving.length + waiting.length === 0) return { state: "met" };
  const done = asked.length - moving.length - waiting.length;
  return { state: "waiting", detail: `${done} of ${asked.length} moved; ${namesOf(view, moving, waiting)}` };
}

const maxNamed = 3;

function namesOf(
  view: ClusterView,
  moving: readonly { readonly detail: string }[],
  waiting: readonly { readonly workload: SidecarWorkload; readonly detail: string }[],
): string {
  const held = waiting.flatMap(({ workload }) => heldByBudget(view, workload) ?? []);
  const next = waiting.map(({ detail }) => detail);
  return [...moving.map(({ detail }) => detail), ...held, ...(moving.length + held.length === 0 ? next : [])]
    .slice(0, maxNamed)
    .join("; ");
}
