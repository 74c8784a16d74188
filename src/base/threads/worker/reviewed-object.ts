import type { ReviewedObject } from "../review-thread.ts";

/** Kubernetes' names and kinds are no longer than this, so longer untrusted texts are cut. */
const maxNameLength = 253;

/** An untrusted name, for logs and messages. */
export function cutName(value: unknown): string {
  return typeof value === "string" ? value.slice(0, maxNameLength) : "";
}

/** The object of an AdmissionReview, as far as the request is readable. */
export function reviewedObject(
  request:
    | {
        readonly uid?: unknown;
        readonly kind?: { readonly kind?: unknown };
        readonly namespace?: unknown;
        readonly name?: unknown;
      }
    | undefined,
): ReviewedObject {
  const parts = [cutName(request?.namespace), cutName(request?.name)].filter((part) => part !== "");
  const kind = cutName(request?.kind?.kind);
  return {
    uid: cutName(request?.uid),
    object: `${kind === "" ? "object" : kind}${parts.length === 0 ? "" : ` "${parts.join("/")}"`}`,
  };
}
