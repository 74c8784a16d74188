import type { CanaryStep } from "../../../api/serin/index.ts";
import type { SettleCondition, Step, WorkloadMatch, Write } from "../../decide/index.ts";
import type { Traffic } from "./traffic.ts";

/** A step of a target. The plan adds the fields that come from the spec. */
export type PartialStep = Pick<Step, "id" | "title" | "writes" | "settle"> & Partial<Step>;

/** How a rollout moves one kind of target. */
export interface TargetPlan {
  readonly namespaces: readonly string[];
  /** The steps that prepare a watched target. */
  readonly setup: readonly PartialStep[];
  readonly idle: boolean;
  /** The steps before the first step of the spec. */
  readonly begin: readonly PartialStep[];
  /** The steps before the traffic of one step of the spec moves, for example to start pods. */
  before(move: Move): readonly PartialStep[];
  /**
   * The writes of a step before its traffic moves. They let the canary follow a stable version that somebody has
   * scaled.
   */
  follow(move: Move): readonly Write[];
  shift(traffic: Traffic): { readonly writes: readonly Write[]; readonly settle: readonly SettleCondition[] };
  after(move: Move): readonly PartialStep[];
  /** The steps after the last step of the spec. */
  readonly end: readonly PartialStep[];
  /** The groups of pods that checks compare. There are several pairs if several services move. */
  readonly subjects: readonly Subject[];
  /** The subjects of the two copies of an experiment. */
  readonly experimentSubjects?: readonly Subject[];
}

export interface Subject {
  readonly canary: WorkloadMatch;
  readonly stable: WorkloadMatch;
}

/** One step of the spec with the traffic before and after it. */
export interface Move {
  readonly id: string;
  readonly step: CanaryStep;
  readonly traffic: Traffic;
  readonly before: Traffic;
  /** The steps of the spec up to and including this one. */
  readonly soFar: readonly CanaryStep[];
}

/** The fields of a target that is not watched and whose pods the user runs. */
export const plainTarget = {
  setup: [],
  idle: false,
  begin: [],
  before: (): readonly PartialStep[] => [],
  follow: (): readonly Write[] => [],
  after: (): readonly PartialStep[] => [],
  end: [],
} as const;
