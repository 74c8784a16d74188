/** The orders that a person can give to a rollout. The command line uses the same verbs. */
export const rolloutActions = ["approve", "pause", "resume", "promote", "rollback", "complete", "retry"] as const;
export type RolloutAction = (typeof rolloutActions)[number];

/** One order on the page, with its effect. */
export interface RolloutActionOffer {
  readonly action: RolloutAction;
  /** For example `Roll back`. */
  readonly title: string;
  /** Why this user cannot give the order now. Undefined if the user can. */
  readonly refusedBecause?: string;
  /** Sentences for the confirmation: what changes, one per object. */
  readonly changes: readonly string[];
  /** The command that does the same. */
  readonly command: string;
  /** Whether the dialog asks for a reason, which is recorded. */
  readonly asksWhy: boolean;
}

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
}

export interface AuditRecord {
  readonly atMs: number;
  readonly user: string;
  /** For example `rollback Canary shop/shop`, `apply VirtualService shop/shop` or `login`. */
  readonly what: string;
  readonly result: "done" | "refused" | "failed";
  readonly detail: string;
}
