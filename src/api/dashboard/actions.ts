import type { RolloutAction } from "../rollout-action.ts";

export interface ActionRequest {
  readonly kind: "Canary" | "MeshUpgrade";
  /** Empty for a MeshUpgrade. */
  readonly namespace: string;
  readonly name: string;
  readonly action: RolloutAction;
  readonly why: string;
  /**
   * The step that the user saw when confirming. If the rollout has moved on, the order is a `conflict`. Empty means any
   * step.
   */
  readonly step: string;
  /** The run that the user saw. An order that skips checks or pauses is a `conflict` in another run. 0 means any run. */
  readonly run: number;
  /** Whether the user saw that somebody has paused it. A full promotion ends a pause, so it must not end an unseen one. */
  readonly paused: boolean;
}

export interface AuditRecord {
  readonly atMs: number;
  readonly user: string;
  /** The action, for example `rollback Canary shop/shop`, `apply VirtualService shop/shop` or `login`. */
  readonly what: string;
  readonly result: "done" | "refused" | "failed";
  readonly detail: string;
}
