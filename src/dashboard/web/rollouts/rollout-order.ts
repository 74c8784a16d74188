import {
  isRestingPhase,
  type RolloutAction,
  type RolloutHead,
  type RolloutRow,
  type RolloutStep,
} from "../../../api/dashboard/index.ts";

/** Whether the rollout has nothing to do before the next change. */
export function hasEnded({ phase }: RolloutRow): boolean {
  return isRestingPhase(phase);
}

/** The rank for sorting: rollouts that wait for a person come first, then stuck, running and ended ones. */
export function rolloutRank(row: RolloutRow): number {
  if (row.waitsForPerson) return 0;
  if (row.phase === "Stuck") return 1;
  if (row.phase === "RollingBack") return 2;
  return hasEnded(row) ? 4 : 3;
}

/**
 * Whether a screen reader reads the message when it changes. While the rollout moves, figures in the message change all
 * the time, and the user would hear nothing else.
 */
export function announcesMessage(row: RolloutRow): boolean {
  return row.waitsForPerson || row.phase === "Stuck" || hasEnded(row);
}

/** The text of a step's weight for screen readers. */
export function weightWords(state: RolloutStep["state"], weight: number): string {
  const verb = { done: "had", current: "has", "to come": "will have" }[state];
  return `The canary ${verb} ${weight} % of the traffic`;
}

/** Converts `3/7` to a share. Undefined for other texts. */
export function progressShare(progress: string): number | undefined {
  const [, done, all] = /^(\d+)\/(\d+)$/.exec(progress) ?? [];
  if (done === undefined || all === undefined || Number(all) === 0) return undefined;
  return Math.min(1, Number(done) / Number(all));
}

/** `shop/checkout`. A MeshUpgrade has no namespace. */
export function rolloutName({ namespace, name }: Pick<RolloutRow, "namespace" | "name">): string {
  return namespace === "" ? name : `${namespace}/${name}`;
}

/** The path of the rollout's view. */
export function rolloutPath({
  kind,
  namespace,
  name,
}: Pick<RolloutRow, "kind" | "namespace" | "name">): readonly string[] {
  return namespace === "" ? ["rollouts", kind, name] : ["rollouts", kind, namespace, name];
}

/** The state in which a person gives an order. */
export interface SeenState {
  /** Empty if no step is under way. */
  readonly step: string;
  readonly stepTitle: string;
  readonly run: number;
  readonly paused: boolean;
  readonly stuck: boolean;
  readonly uid: string;
}

export function stateOf({
  row: { phase },
  currentStep,
  run,
  paused,
  uid,
}: Pick<RolloutHead, "row" | "currentStep" | "run" | "paused" | "uid">): SeenState {
  const { id: step = "", title: stepTitle = "" } = currentStep ?? {};
  return { step, stepTitle, run, paused, stuck: phase === "Stuck", uid };
}

/**
 * How the rollout has changed since the person saw it, if the order may therefore no longer be what the person wants.
 * Otherwise undefined. A pause matters only to a full promotion, because no other order ends it.
 */
export function changeSince(seen: SeenState, now: SeenState, action: RolloutAction): string | undefined {
  if (now.uid !== seen.uid) return "The rollout was deleted, and another one of its name was created";
  // The first run has no number until it begins.
  if (Math.max(1, now.run) !== Math.max(1, seen.run)) return "Another run has begun";
  if (now.step !== seen.step) return `The rollout has continued from “${seen.stepTitle}”`;
  const goesOn = action === "approve" || action === "promote" || action === "complete";
  if (goesOn && now.stuck && !seen.stuck) return "The rollout has become Stuck";
  if (action !== "promote" || now.paused === seen.paused) return undefined;
  return `Somebody else has ${now.paused ? "paused" : "resumed"} the rollout`;
}
