import type { NeededRights } from "./review-rights.ts";
import type { RolloutReviewAnswer } from "./review.ts";

/** `fault`: the request cannot be read. */
export type ReviewReply =
  | {
      readonly kind: "answer";
      readonly answer: RolloutReviewAnswer;
      /** To be asked for where the answer allows the object. */
      readonly rights: NeededRights | undefined;
    }
  | { readonly kind: "fault"; readonly message: string };

/** The object that a thread judges, told before its answer. */
export interface ReviewedObject {
  readonly uid: string;
  /** `Canary "shop/web"`. */
  readonly object: string;
}
