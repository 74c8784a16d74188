import type { RolloutPhase, RolloutStatus } from "../../api/serin/index.ts";

/** What rollouts must know about each other. */
export interface Contender {
  /** `Canary shop/reviews`, `MeshUpgrade to-1-31`: unique, and what people read. */
  readonly key: string;
  readonly kind: "Canary" | "MeshUpgrade";
  readonly namespace?: string;
  readonly name: string;
  readonly createdAtMs: number;
  readonly phase: RolloutPhase;
  /** A run has begun and has not ended; being put back belongs to it. */
  readonly underWay: boolean;
  /** A run would begin if nothing held it up. */
  readonly wantsToBegin: boolean;
  /** Namespaces that it holds now. */
  readonly holds: readonly string[];
  /** Namespaces that its next step takes. A canary takes those of its whole run. */
  readonly wants: readonly string[];
  /** What it moves. Two that move the same thing wait for each other. */
  readonly target: string;
  readonly group?: string;
  readonly groupRun?: string;
  /** Number of the spec's step that it is in, or would begin next; undefined when there is none left, or none known. */
  readonly nextOrdinal?: number;
  /** It only waits for live connections to end. It writes nothing any more and delays nobody. */
  readonly lingers: boolean;
  /** It has finished all of its steps, and completes when its group has. */
  readonly done: boolean;
}

const atRest: ReadonlySet<RolloutPhase> = new Set(["Completed", "RolledBack", "Watching"]);

/** Whether a run has begun and has not ended. */
export function isUnderWay(status: RolloutStatus): boolean {
  return status.startedAt !== undefined && !atRest.has(status.phase);
}

/** See `Step.lingers`. */
export function isLingering({ phase, step }: RolloutStatus): boolean {
  return phase === "Retiring" && step?.lingers === true;
}

/** A step under way, or, between steps, the next one. */
export function nextOrdinalOf(status: RolloutStatus): number | undefined {
  const done = new Set(status.completedSteps.map(({ id }) => id));
  return (status.plannedSteps ?? []).find(({ id, ordinal }) => ordinal !== undefined && !done.has(id))?.ordinal;
}

/** Whether every planned step is done; false while nothing is planned. */
export function allDone(status: RolloutStatus): boolean {
  const done = new Set(status.completedSteps.map(({ id }) => id));
  const planned = status.plannedSteps ?? [];
  return planned.length > 0 && planned.every(({ id }) => done.has(id));
}
