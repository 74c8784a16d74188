import type { NeededRights } from "./review-rights.ts";
import type { AdmissionAnswer } from "../../api/admission-review/index.ts";

/** The result of a review. A `fault` means that the request cannot be read. */
export type ReviewReply =
  | {
      readonly kind: "answer";
      readonly answer: AdmissionAnswer;
      /** The rights to check if the answer allows the object. */
      readonly rights: NeededRights | undefined;
    }
  | { readonly kind: "fault"; readonly message: string };
