/** The orders that a person can give to a rollout. The command line uses the same verbs. */
export const rolloutActions = ["approve", "pause", "resume", "promote", "rollback", "complete", "retry"] as const;
export type RolloutAction = (typeof rolloutActions)[number];

/** One order on the page, with its effect. */
export interface RolloutActionOffer {
  readonly action: RolloutAction;
  /** The text of the button, for example `Roll back`. */
  readonly title: string;
  /** Why this user cannot give the order now. Undefined if the user can. */
  readonly refusedBecause?: string;
  /** Sentences for the confirmation dialog: the changes, one sentence per object. */
  readonly changes: readonly string[];
  /** The command line that does the same. */
  readonly command: string;
  /** Whether the dialog asks for a reason, which is recorded. */
  readonly asksWhy: boolean;
}
