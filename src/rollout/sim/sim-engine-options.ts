import type { Freeze, JournalEntry } from "../../api/serin/index.ts";
import type { Refusal } from "../decide/index.ts";
import type { Plan } from "../engine/planner.ts";
import type { Rollout } from "../engine/rollout-object.ts";
import type { ModelCluster } from "./model-cluster.ts";
import type { Unread } from "./scenario.ts";
import type { Journals } from "./sim-canary.ts";
import type { SimStore } from "./sim-store.ts";
import type { Decided } from "./witness/decided.ts";

export interface SimEngineOptions {
  readonly id: number;
  readonly store: SimStore;
  readonly cluster: ModelCluster;
  readonly maxConcurrent: number;
  readonly plan: (rollout: Rollout, journals: Journals) => Plan;
  readonly freezes: () => readonly Freeze[];
  readonly now: () => { readonly steadyMs: number; readonly nowMs: number };
  readonly isStale: () => boolean;
  /** Whether the engine is killed after it has journaled these entries, before it writes what they describe. */
  readonly isKilled: (journal: string, entries: readonly JournalEntry[]) => boolean;
  /** Why the rollout cannot be planned, or why its author may not do its steps. Undefined if nothing is wrong. */
  readonly refusal: (rollout: Rollout) => Refusal | undefined;
  readonly isUnreadable: (rollout: Rollout, what: Unread) => boolean;
  readonly onDecision: (decided: Decided) => void;
}
