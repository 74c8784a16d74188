import type { RolloutPhase, RolloutStatus } from "../../api/serin/index.ts";

export interface Contender {
  /** A unique name that people read, such as `Canary shop/reviews` or `MeshUpgrade to-1-31`. */
  readonly key: string;
  readonly kind: "Canary" | "MeshUpgrade";
  readonly namespace?: string;
  readonly name: string;
  readonly createdAtMs: number;
  /** The phase. A rollout whose undo is Stuck has RollingBack here. */
  readonly phase: RolloutPhase;
  /** The rollout waits for a person, perhaps in the middle of its undo. */
  readonly isStuck?: true;
  /** A run has begun and has not ended. An undo is part of it. */
  readonly underWay: boolean;
  /** A run would begin if nothing blocked it. */
  readonly wantsToBegin: boolean;
  readonly holds: readonly string[];
  /** The namespaces that its next step reserves. A canary takes the namespaces of its whole run. */
  readonly wants: readonly string[];
  /** The object that it changes. Two rollouts that change the same object wait for each other. */
  readonly target: string;
  readonly routes?: readonly MovedRule[];
  readonly group?: string;
  readonly groupRun?: string;
  /** The number of the spec's current step, or of the next one. Undefined if none is left, or if none is known. */
  readonly nextOrdinal?: number;
  /** The rollout only waits for live connections to end. It no longer writes anything, and delays no other rollout. */
  readonly lingers: boolean;
  /** The rollout has finished all of its steps, and completes when its group does. */
  readonly done: boolean;
  /**
   * `lost`: the rollout waits because its journal is lost. `expected`: according to its status, the journal has
   * entries, so it must exist.
   */
  readonly journal?: "lost" | "expected";
}

/** The part of a user's route that a Canary moves. */
export interface MovedRule {
  /** Identifies the route, and the list in it. */
  readonly list: string;
  /** The rule's place in the list, or its name. Absent means all rules. */
  readonly rule?: number | string;
  /** A digest by which two positions are recognised as the same rule. Absent if the engine does not know it. */
  readonly identity?: string;
  /** Its steps add rules to the list, which change the places of others. */
  readonly addsRules: boolean;
}

/**
 * Whether two rollouts must not move their targets at the same time. Two Canaries may move different rules of one
 * route, unless one of them adds rules that change the position by which the other names its rule.
 */
export function isRivalOf(other: Contender, self: Contender): boolean {
  if (other.target === self.target) return true;
  return (other.routes ?? []).some((theirs) => (self.routes ?? []).some((ours) => collide(theirs, ours)));
}

function collide(a: MovedRule, b: MovedRule): boolean {
  if (a.list !== b.list) return false;
  if (a.rule === undefined || typeof a.rule !== typeof b.rule || a.rule === b.rule) return true;
  if (a.identity !== undefined && a.identity === b.identity) return true;
  return typeof a.rule === "number" && (a.addsRules || b.addsRules);
}

const atRest: ReadonlySet<RolloutPhase> = new Set(["Completed", "RolledBack", "Watching"]);

export function isUnderWay(status: RolloutStatus): boolean {
  return status.startedAt !== undefined && !atRest.has(status.phase) && !isRefusedAfterEnd(status);
}

/** Whether an undo is running, even if it waits for a person. */
export function isPuttingBack({ phase, undo }: RolloutStatus): boolean {
  return phase === "RollingBack" || (phase === "Stuck" && undo !== undefined);
}

/** Whether the rollout has completed, and its changed spec asks for another run that cannot begin. */
export function isRefusedAfterEnd({ endedAt, phase, step, undo }: RolloutStatus): boolean {
  return phase === "Stuck" && endedAt !== undefined && step === undefined && undo === undefined;
}

export function isLingering({ phase, step }: RolloutStatus): boolean {
  return phase === "Retiring" && step?.lingers === true;
}

/** The number of the current step. If no step is under way, the number of the next one. */
export function nextOrdinalOf(status: RolloutStatus): number | undefined {
  const done = new Set(status.completedSteps.map(({ id }) => id));
  return (status.plannedSteps ?? []).find(({ id, ordinal }) => ordinal !== undefined && !done.has(id))?.ordinal;
}

/** Whether every planned step is done. False if there is no plan yet. */
export function allDone(status: RolloutStatus): boolean {
  const done = new Set(status.completedSteps.map(({ id }) => id));
  const planned = status.plannedSteps ?? [];
  return planned.length > 0 && planned.every(({ id }) => done.has(id));
}

/** Whether a decision begins a run or a step. The state of the other rollouts decides whether it may do so. */
export function beginsStep(before: RolloutStatus, after: RolloutStatus): boolean {
  if (!isUnderWay(after) || isPuttingBack(after)) return false;
  return !isUnderWay(before) || (after.step !== undefined && after.step.id !== before.step?.id);
}
