import {
  isRestingPhase,
  type RolloutAction,
  type RolloutHead,
  type RolloutRow,
  type RolloutStep,
} from "../../../api/dashboard/index.ts";

/** Whether the rollout does nothing until somebody changes something. */
export function hasEnded({ phase }: RolloutRow): boolean {
  return isRestingPhase(phase);
}

/**
 * For sorting: rollouts that wait for a person are first, then those that are stuck, being undone, under way, and
 * ended.
 */
export function rolloutRank(row: RolloutRow): number {
  if (row.waitsForPerson) return 0;
  if (row.phase === "Stuck") return 1;
  if (row.phase === "RollingBack") return 2;
  return hasEnded(row) ? 4 : 3;
}

/**
 * Whether screen readers read the message when it changes. While a rollout moves, figures in it change all the time, so
 * the user would hear nothing else.
 */
export function announcesMessage(row: RolloutRow): boolean {
  return row.waitsForPerson || row.phase === "Stuck" || hasEnded(row);
}

export function weightWords(state: RolloutStep["state"], weight: number): string {
  const verb = { done: "had", current: "has", "to come": "will have" }[state];
  return `The canary ${verb} ${weight} % of the traffic`;
}

/** `3/7` as a share. Undefined for any other text. */
export function progressShare(progress: string): number | undefined {
  const [, done, all] = /^(\d+)\/(\d+)$/.exec(progress) ?? [];
  if (done === undefined || all === undefined || Number(all) === 0) return undefined;
  return Math.min(1, Number(done) / Number(all));
}

/** For example `shop/checkout`. A MeshUpgrade has no namespace. */
export function rolloutName({ namespace, name }: Pick<RolloutRow, "namespace" | "name">): string {
  return namespace === "" ? name : `${namespace}/${name}`;
}

export function rolloutPath({
  kind,
  namespace,
  name,
}: Pick<RolloutRow, "kind" | "namespace" | "name">): readonly string[] {
  return namespace === "" ? ["rollouts", kind, name] : ["rollouts", kind, namespace, name];
}

/** The state of a rollout, as a person sees it when giving an order. */
export interface SeenState {
  /** Empty between steps. */
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
 * Says how the rollout has changed since the person saw it, if the person may therefore want another order. Otherwise
 * undefined. Whether it is paused matters only to a full promotion, because no other order ends a pause.
 */
export function changeSince(seen: SeenState, now: SeenState, action: RolloutAction): string | undefined {
  if (now.uid !== seen.uid) return "The rollout was deleted, and another one of its name was created";
  // A run gets its number when it begins, so 0 stands for the first run too.
  if (Math.max(1, now.run) !== Math.max(1, seen.run)) return "Another run has begun";
  if (now.step !== seen.step) return `The rollout has continued from “${seen.stepTitle}”`;
  const goesOn = action === "approve" || action === "promote" || action === "complete";
  if (goesOn && now.stuck && !seen.stuck) return "The rollout has become Stuck";
  if (action !== "promote" || now.paused === seen.paused) return undefined;
  return `Somebody else has ${now.paused ? "paused" : "resumed"} the rollout`;
}
