export const rolloutActions = ["approve", "pause", "resume", "promote", "rollback", "complete", "retry"] as const;
export type RolloutAction = (typeof rolloutActions)[number];

export interface RolloutActionOffer {
  readonly action: RolloutAction;
  /** The text of the button, for example `Roll back`. */
  readonly title: string;
  /** Why this user cannot give the order now. Undefined if the user can. */
  readonly refusedBecause?: string;
  /** The changes, for the confirmation dialog: one sentence per object. */
  readonly changes: readonly string[];
  readonly command: string;
  /** Whether the dialog asks for a reason. The rollout's object records it. */
  readonly asksWhy: boolean;
}
