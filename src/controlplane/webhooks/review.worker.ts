// Reviews untrusted objects in a thread of its own, so that they cannot block discovery. Each task gets one answer.
import { messageOf } from "../../base/index.ts";
import { answerTasks } from "../../base/threads/worker/index.ts";
import type { InjectionContext } from "../../inject/index.ts";
import type { AdmissionReview } from "./admission-review.ts";
import { validate } from "./admission.ts";
import { namespaceOf, reviewPod } from "./inject-review.ts";
import type { ReviewAnswer, ReviewNotice, ReviewReply, ReviewTask, ScopeMessage } from "./review-messages.ts";

/** Kubernetes names and kinds are no longer than this, so longer untrusted texts are cut. */
const maxNameLength = 253;

let context: InjectionContext | undefined;
let onScope: ((message: ScopeMessage) => void) | undefined;

function name(value: unknown): string {
  return typeof value === "string" ? value.slice(0, maxNameLength) : "";
}

function reviewOf(body: Uint8Array): AdmissionReview {
  const review: unknown = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("utf8"));
  if (typeof review !== "object" || review === null) throw new Error("the body is no AdmissionReview");
  return review;
}

function objectOf({ request }: AdmissionReview): string {
  const parts = [name(request?.namespace), name(request?.name)].filter((part) => part !== "");
  const kind = name(request?.kind?.kind);
  return `${kind === "" ? "object" : kind}${parts.length === 0 ? "" : ` "${parts.join("/")}"`}`;
}

async function scopeOf(namespace: string): Promise<ScopeMessage> {
  return await new Promise((resolve) => {
    onScope = resolve;
    notify({ kind: "scope", namespace });
  });
}

async function answerTo({ path, body }: ReviewTask): Promise<ReviewAnswer> {
  const review = reviewOf(body);
  notify({ kind: "named", uid: name(review.request?.uid), object: objectOf(review) });
  if (!path.startsWith("/inject")) {
    const answer = validate(review);
    const { kind, resource } = review.request ?? {};
    const request = {
      ...(kind === undefined
        ? {}
        : { kind: { group: name(kind.group), version: name(kind.version), kind: name(kind.kind) } }),
      ...(resource === undefined
        ? {}
        : {
            resource: {
              group: name(resource.group),
              version: name(resource.version),
              resource: name(resource.resource),
            },
          }),
    };
    return { text: JSON.stringify(answer), validation: { request, allowed: answer.response.allowed } };
  }
  const scope = await scopeOf(name(namespaceOf(review)));
  context = scope.context ?? context;
  if (context === undefined) throw new Error("injection has no configuration yet");
  const { answer, report } = reviewPod(review, path, { context, namespaceLabels: scope.namespaceLabels });
  return {
    text: JSON.stringify(answer),
    injection: { ...report, pod: name(report.pod), namespace: name(report.namespace) },
  };
}

const notify = answerTasks<ReviewTask, ReviewReply, ReviewNotice, ScopeMessage>({
  answer: async (task) => {
    try {
      return { kind: "answer", ...(await answerTo(task)) };
    } catch (error) {
      return { kind: "fault", message: messageOf(error) };
    }
  },
  onMessage: (message) => onScope?.(message),
});
