import type { SettleCondition, SettleState } from "../../decide/index.ts";
import type { ClusterView } from "../cluster-view.ts";
import type { AgeOfEvent, NoticeEvent } from "../event-ages.ts";
import { injectorObstacle } from "../injectors.ts";
import { servedProxies } from "../served-proxies.ts";
import {
  bareRestartedPod,
  heldByBudget,
  sidecarWorkloads,
  workloadOf,
  type SidecarWorkload,
} from "../sidecar-workloads.ts";
import { progressOf } from "../workload-progress.ts";

type WorkloadCondition = Extract<SettleCondition, { type: "workloadRevision" }>;

/**
 * Whether one workload, or all workloads of a namespace, have sidecars of the revision. Ignores workloads that no
 * restart moves.
 */
export async function workloadState(
  view: ClusterView,
  { object, revision, mark, withinMs }: WorkloadCondition,
  ageMs: AgeOfEvent,
  notice: NoticeEvent = () => undefined,
): Promise<SettleState> {
  const namespace = object.kind === "Namespace" ? object.name : (object.namespace ?? "");
  const all = sidecarWorkloads(view, { only: namespace, restart: { revision, mark } }).get(namespace) ?? [];
  const awaited = all.filter(
    ({ unmovable, object: own }) =>
      unmovable === undefined &&
      (object.kind === "Namespace" || (own.kind === object.kind && own.name === object.name)),
  );
  const bare = bareRestartedPod(view, { object, revision, mark });
  if (bare !== undefined) {
    const own = workloadOf(bare);
    return {
      state: "failed",
      detail: `${namespace}: pod ${bare.metadata.name ?? ""} of ${own.kind} ${own.name} started without a sidecar, because no injector of revision ${revision} took it`,
    };
  }
  const connected = new Set((await servedProxies(view, revision)).map(({ id }) => id));
  const progress = awaited.map((workload) => ({
    workload,
    ...progressOf(workload, { revision, mark, connected, ageMs, notice, withinMs }),
  }));
  const failed = progress.find((progressed) => progressed.failed === true);
  if (failed !== undefined) return { state: "failed", detail: `${namespace}: ${failed.detail}` };
  const moving = progress.filter(({ state }) => state === "moving");
  const waiting = progress.filter(({ state }) => state === "waiting");
  if (moving.length + waiting.length === 0) return { state: "met" };
  const left = moving.length + waiting.length;
  const moved = `${awaited.length - left} of ${awaited.length} moved`;
  if (moving.length > 0) {
    const limits = moving.flatMap(({ failsInMs }) => failsInMs ?? []);
    const limit = limits.length === 0 ? {} : { failsInMs: Math.min(...limits) };
    return { state: "waiting", detail: `${moved}; ${namesOf(view, moving, waiting)}`, left, ...limit };
  }
  const obstacle = injectorObstacle(view, namespace, revision);
  if (obstacle !== undefined) return { state: "waiting", detail: `${moved}; ${obstacle}`, left, obstacle: {} };
  const detail = `${moved}; ${namesOf(view, moving, waiting)}`;
  return waiting.every(({ workload }) => heldByBudget(view, workload) !== undefined)
    ? { state: "waiting", detail, left, obstacle: { toDo: budgetToDo } }
    : { state: "waiting", detail, left };
}

const budgetToDo = "let the budget allow it, or scale the workload up, and the upgrade continues";
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
