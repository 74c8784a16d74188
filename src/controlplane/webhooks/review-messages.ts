import type { InjectionContext } from "../../inject/index.ts";
import type { AdmissionReview } from "../../api/admission-review/index.ts";
import type { InjectionReport } from "./inject-review.ts";

export interface ReviewTask {
  /** The URL's path: `/validate…` or `/inject…`. */
  readonly path: string;
  readonly body: Uint8Array;
}

/**
 * The settings for injection, which are sent when the thread has read the pod's namespace. Without a context, the
 * previous one stays in use.
 */
export interface ScopeMessage {
  readonly namespaceLabels: Readonly<Record<string, string>>;
  readonly context?: InjectionContext;
}

export interface ValidationReport {
  readonly request: Pick<NonNullable<AdmissionReview["request"]>, "kind" | "resource">;
  readonly allowed: boolean;
}

export interface ReviewAnswer {
  /** The AdmissionReview of the answer, as JSON. */
  readonly text: string;
  readonly validation?: ValidationReport;
  readonly injection?: InjectionReport;
}

/** The reply to a review. A `fault` means that the request cannot be read. */
export type ReviewReply =
  | ({ readonly kind: "answer" } & ReviewAnswer)
  | { readonly kind: "fault"; readonly message: string };

/** The thread's other message: it asks for a {@link ScopeMessage}, and waits for it. */
export interface ScopeRequest {
  readonly namespace: string;
}
