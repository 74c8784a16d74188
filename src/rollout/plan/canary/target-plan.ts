import type { CanaryStep } from "../../../api/serin/index.ts";
import type { SettleCondition, Step, WorkloadMatch, Write } from "../../decide/index.ts";
import type { Traffic } from "./traffic.ts";

/** A step of the engine's own; what belongs to which step of the spec is added by the plan. */
export type PartialStep = Pick<Step, "id" | "title" | "writes" | "settle"> & Partial<Step>;

/** How one kind of target moves. */
export interface TargetPlan {
  /** Namespaces whose workloads or routes it touches. */
  readonly namespaces: readonly string[];
  /** Prepares a target that is watched. */
  readonly setup: readonly PartialStep[];
  /** Nothing is there to roll out. */
  readonly idle: boolean;
  /** Before the first step of the spec. */
  readonly begin: readonly PartialStep[];
  /** Before the traffic of one step of the spec moves, such as pods. */
  before(move: Move): readonly PartialStep[];
  shift(traffic: Traffic): { readonly writes: readonly Write[]; readonly settle: readonly SettleCondition[] };
  after(move: Move): readonly PartialStep[];
  /** After the last step of the spec. */
  readonly end: readonly PartialStep[];
  /** The two groups that are compared; several where several services move. */
  readonly subjects: readonly Subject[];
  /** The subjects of the two copies of an experiment. */
  readonly experimentSubjects?: readonly Subject[];
}

export interface Subject {
  readonly canary: WorkloadMatch;
  readonly stable: WorkloadMatch;
}

/** One step of the spec and where it stands. */
export interface Move {
  /** `step-2`. */
  readonly id: string;
  readonly step: CanaryStep;
  readonly traffic: Traffic;
  readonly before: Traffic;
  /** The steps of the spec up to this one. */
  readonly soFar: readonly CanaryStep[];
}

/** What a target has that neither needs pods of the engine's nor is watched. */
export const plainTarget = {
  setup: [],
  idle: false,
  begin: [],
  before: (): readonly PartialStep[] => [],
  after: (): readonly PartialStep[] => [],
  end: [],
} as const;
