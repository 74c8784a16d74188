import type { InjectionContext } from "../../inject/index.ts";
import type { AdmissionReview } from "./admission-review.ts";
import type { InjectionReport } from "./inject-review.ts";

/** Asks the thread of reviews for one answer. */
export interface ReviewTask {
  readonly kind: "review";
  /** The URL's path: `/validate…` or `/inject…`. */
  readonly path: string;
  readonly body: Uint8Array;
}

/** What injection needs, once the thread has read which namespace it is for. Without a context the last one holds. */
export interface ScopeMessage {
  readonly kind: "scope";
  readonly namespaceLabels: Readonly<Record<string, string>>;
  readonly context?: InjectionContext;
}

/** Which object a review is of. */
export interface ReviewedObject {
  readonly uid: string;
  /** `VirtualService "shop/reviews"`. */
  readonly object: string;
}

export interface ValidationReport {
  readonly request: Pick<NonNullable<AdmissionReview["request"]>, "kind" | "resource">;
  readonly allowed: boolean;
}

export interface ReviewAnswer {
  /** The AdmissionReview that answers, as JSON. */
  readonly text: string;
  readonly validation?: ValidationReport;
  readonly injection?: InjectionReport;
}

export type ThreadMessage =
  | { readonly kind: "ready" }
  | ({ readonly kind: "named" } & ReviewedObject)
  | { readonly kind: "scope"; readonly namespace: string }
  | ({ readonly kind: "answer" } & ReviewAnswer)
  | { readonly kind: "fault"; readonly message: string };
