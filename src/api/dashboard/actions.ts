import type { RolloutAction } from "../rollout-action.ts";

export interface ActionRequest {
  readonly kind: "Canary" | "MeshUpgrade";
  /** Empty for a MeshUpgrade. */
  readonly namespace: string;
  readonly name: string;
  readonly action: RolloutAction;
  readonly why: string;
  /**
   * The step that the user saw when giving the order. If the rollout has moved on, the server answers with a
   * `conflict`. Empty accepts any step.
   */
  readonly step: string;
  /**
   * The run that the user saw. In another run, an approval, a promotion or the end of a soak is a `conflict`. 0 accepts
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
   * A page of an earlier release does not send the field. Its orders are accepted in any state.
   */
  readonly stuck?: boolean;
  /**
   * The uid of the object that the user saw. If another object has its name now, the order is a `conflict`. Empty
   * accepts any object.
   */
  readonly uid: string;
}

export interface AuditRecord {
  readonly atMs: number;
  readonly user: string;
  readonly what: string;
  readonly result: "done" | "refused" | "failed";
  readonly detail: string;
}
