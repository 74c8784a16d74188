// Judges untrusted objects in a thread of its own, so that they cannot block the engine.
import { messageOf } from "../../base/index.ts";
import { answerTasks } from "../../base/threads/worker/index.ts";
import { neededRights } from "./review-rights.ts";
import type { ReviewedObject, ReviewReply } from "./review-task.ts";
import { parseReview, reviewRollout } from "./review.ts";

/** Kubernetes' names and kinds are no longer than this, so longer untrusted texts are cut. */
const maxNameLength = 253;

function name(value: unknown): string {
  return typeof value === "string" ? value.slice(0, maxNameLength) : "";
}

const notify = answerTasks<Uint8Array, ReviewReply, ReviewedObject>({
  answer: async (body) => {
    try {
      const review = parseReview(body);
      const { uid, kind, name: called } = review.request ?? {};
      notify({ uid: name(uid), object: `${name(kind?.kind)} "${name(called)}"` });
      return { kind: "answer", answer: await reviewRollout(review), rights: neededRights(review) };
    } catch (error) {
      return { kind: "fault", message: messageOf(error) };
    }
  },
});
