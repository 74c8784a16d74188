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
  /**
   * The run that the user saw. In another run, an approval, a promotion or the end of a soak is a `conflict`. 0 means
   * any run.
   */
  readonly run: number;
  /**
   * Whether the user saw that somebody has ordered a pause. A full promotion ends a pause, so it is a `conflict` if
   * somebody has ordered or ended a pause since.
   */
  readonly paused: boolean;
  /**
   * Whether the user saw that the rollout was Stuck. If the rollout has become Stuck since, the order is a `conflict`.
   * Absent means any state, because a page of an earlier release does not send the field.
   */
  readonly stuck?: boolean;
  /** The uid of the object that the user saw. Each order is a `conflict` for another object. Empty means any object. */
  readonly uid: string;
}

export interface AuditRecord {
  readonly atMs: number;
  readonly user: string;
  /** The action, for example `rollback Canary shop/shop`, `apply VirtualService shop/shop` or `login`. */
  readonly what: string;
  readonly result: "done" | "refused" | "failed";
  readonly detail: string;
}
