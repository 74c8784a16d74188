/** What a person may order of a rollout; the command line's verbs. */
export const rolloutActions = ["approve", "pause", "resume", "promote", "rollback", "complete", "retry"] as const;
export type RolloutAction = (typeof rolloutActions)[number];

/** One order as the page offers it: what it would do is said before it is done. */
export interface RolloutActionOffer {
  readonly action: RolloutAction;
  /** `Roll back`. */
  readonly title: string;
  /** Undefined: it may be given now, by this user. */
  readonly refusedBecause?: string;
  /** Sentences for the confirmation: what changes, object by object. */
  readonly changes: readonly string[];
  /** The same by the command line. */
  readonly command: string;
  /** It asks for a reason, which is kept. */
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
   * The step of the view that the user confirmed. If the rollout is at another step by now, the order is a `conflict`.
   * Empty: any step.
   */
  readonly step: string;
}

export interface AuditRecord {
  readonly atMs: number;
  readonly user: string;
  /** `rollback Canary shop/shop`, `apply VirtualService shop/shop`, `login`. */
  readonly what: string;
  readonly result: "done" | "refused" | "failed";
  readonly detail: string;
}
