import type { RolloutActionOffer } from "../rollout-action.ts";
import type {
  CheckStatus,
  CompletedStep,
  DecisionRecord,
  PauseReason,
  PlannedStep,
  RolloutPhase,
  StepStatus,
  UndoStatus,
} from "../serin/index.ts";
import type { View, ViewHead } from "./view.ts";

export interface RolloutsView extends View {
  readonly tables: {
    readonly rollouts: Readonly<Record<string, RolloutRow>>;
    readonly freezes: Readonly<Record<string, FreezeRow>>;
  };
}

export interface RolloutRow {
  readonly kind: "Canary" | "MeshUpgrade";
  readonly namespace: string;
  readonly name: string;
  /** Empty until the engine has handled the object. */
  readonly phase: RolloutPhase | "";
  readonly progress: string;
  readonly message: string;
  readonly pauseReason?: PauseReason;
  readonly cause: string;
  /** The object or the revisions that the rollout moves, for example `HTTPRoute shop/shop` or `1-31-0 -> 1-31-1`. */
  readonly target: string;
  readonly step: string;
  readonly weight?: number;
  readonly startedAtMs?: number;
  readonly endedAtMs?: number;
  readonly waitsForPerson: boolean;
}

export interface FreezeRow {
  readonly name: string;
  readonly reason: string;
  readonly active: boolean;
  readonly endsAtMs?: number;
  readonly nextAtMs?: number;
}

export interface RolloutView extends View {
  readonly head: RolloutHead;
  readonly tables: {
    readonly steps: Readonly<Record<string, RolloutStep>>;
    readonly checks: Readonly<Record<string, RolloutCheck>>;
    readonly decisions: Readonly<Record<string, DecisionRecord>>;
    readonly events: Readonly<Record<string, EventRow>>;
  };
}

export interface RolloutHead extends ViewHead {
  readonly row: RolloutRow;
  /** Tells the object from an earlier or later one of the same name. */
  readonly uid: string;
  readonly run: number;
  /** Whether somebody has ordered a pause. A phase `Paused` may have other reasons. */
  readonly paused: boolean;
  readonly currentStep?: StepStatus;
  readonly undo?: UndoStatus;
  readonly approvals: readonly {
    readonly step: string;
    readonly by: string;
    readonly why: string;
    readonly atMs: number;
  }[];
  /** All orders. An order that this user cannot give has the reason in its entry. */
  readonly actions: readonly RolloutActionOffer[];
  /** The compared backends, for the time series of both versions. See `SeriesRequest.backend`. */
  readonly canaryBackend: string;
  readonly stableBackend: string;
  /** The workloads of both backends that this user may see, such as `shop/web-canary`. */
  readonly canaryWorkloads: readonly string[];
  readonly stableWorkloads: readonly string[];
  readonly olderDecisions: number;
  readonly yaml: string;
}

export interface RolloutStep extends PlannedStep {
  readonly state: "done" | "current" | "to come";
  readonly weight?: number;
  readonly completed?: CompletedStep;
}

export interface RolloutCheck extends CheckStatus {
  readonly step: string;
  /** What the check measures and when it fails, in words. */
  readonly explanation: string;
  /** The statistic for both versions now, with the limit that decides. Undefined for checks without a statistic. */
  readonly comparison?: {
    readonly unit: "share" | "ms" | "count";
    /** The quantile of a duration, for example 0.99. */
    readonly quantile?: number;
    readonly canary?: number;
    readonly stable?: number;
    readonly bound?: number;
    readonly canarySamples: number;
    readonly stableSamples: number;
  };
}

export interface EventRow {
  readonly atMs: number;
  readonly type: "Normal" | "Warning";
  readonly reason: string;
  readonly message: string;
  readonly count: number;
  readonly object: string;
}
