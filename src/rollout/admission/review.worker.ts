// Reviews untrusted objects in a separate thread, so that they cannot block the engine.
import { messageOf } from "../../base/index.ts";
import { parseReview } from "../../api/admission-review/index.ts";
import type { ReviewNotice } from "../../base/threads/index.ts";
import { answerTasks, reviewedObject } from "../../base/threads/worker/index.ts";
import { neededRights } from "./review-rights.ts";
import type { ReviewReply } from "./review-task.ts";
import { reviewRollout } from "./review.ts";

const notify = answerTasks<Uint8Array, ReviewReply, ReviewNotice>({
  answer: async (body) => {
    try {
      const review = parseReview(body);
      notify({ reviewed: reviewedObject(review.request) });
      return { kind: "answer", answer: await reviewRollout(review), rights: neededRights(review) };
    } catch (error) {
      return { kind: "fault", message: messageOf(error) };
    }
  },
});
