import type { NeededRights } from "./review-rights.ts";
import type { RolloutReviewAnswer } from "./review.ts";

/** The result of a review. A `fault` means that the request cannot be read. */
export type ReviewReply =
  | {
      readonly kind: "answer";
      readonly answer: RolloutReviewAnswer;
      /** The rights to check if the answer allows the object. */
      readonly rights: NeededRights | undefined;
    }
  | { readonly kind: "fault"; readonly message: string };
