// Reviews untrusted objects in a thread of its own, so that they cannot block discovery. Each task gets one answer.
import { messageOf } from "../../base/index.ts";
import type { ReviewNotice } from "../../base/threads/index.ts";
import { answerTasks, cutName, reviewedObject } from "../../base/threads/worker/index.ts";
import type { InjectionContext } from "../../inject/index.ts";
import { parseReview } from "../../api/admission-review/index.ts";
import { validate } from "./admission.ts";
import { namespaceOf, reviewPod } from "./inject-review.ts";
import type { ReviewAnswer, ReviewReply, ReviewTask, ScopeMessage, ScopeRequest } from "./review-messages.ts";

let context: InjectionContext | undefined;
let onScope: ((message: ScopeMessage) => void) | undefined;

async function scopeOf(namespace: string): Promise<ScopeMessage> {
  return await new Promise((resolve) => {
    onScope = resolve;
    notify({ other: { namespace } });
  });
}

async function answerTo({ path, body }: ReviewTask): Promise<ReviewAnswer> {
  const review = parseReview(body);
  notify({ reviewed: reviewedObject(review.request) });
  if (!path.startsWith("/inject")) {
    const answer = validate(review);
    const { kind, resource } = review.request ?? {};
    const request = {
      ...(kind === undefined
        ? {}
        : { kind: { group: cutName(kind.group), version: cutName(kind.version), kind: cutName(kind.kind) } }),
      ...(resource === undefined
        ? {}
        : {
            resource: {
              group: cutName(resource.group),
              version: cutName(resource.version),
              resource: cutName(resource.resource),
            },
          }),
    };
    return { text: JSON.stringify(answer), validation: { request, allowed: answer.response.allowed } };
  }
  const scope = await scopeOf(cutName(namespaceOf(review)));
  context = scope.context ?? context;
  if (context === undefined) throw new Error("injection has no configuration yet");
  const { answer, report } = reviewPod(review, path, { context, namespaceLabels: scope.namespaceLabels });
  return {
    text: JSON.stringify(answer),
    injection: { ...report, pod: cutName(report.pod), namespace: cutName(report.namespace) },
  };
}

const notify = answerTasks<ReviewTask, ReviewReply, ReviewNotice<ScopeRequest>, ScopeMessage>({
  answer: async (task) => {
    try {
      return { kind: "answer", ...(await answerTo(task)) };
    } catch (error) {
      return { kind: "fault", message: messageOf(error) };
    }
  },
  onMessage: (message) => onScope?.(message),
});
