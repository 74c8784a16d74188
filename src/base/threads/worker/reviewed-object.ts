import type { ReviewedObject } from "../review-thread.ts";

/** Longer texts are cut, because names and kinds in Kubernetes are not longer. */
const maxNameLength = 253;

/** The untrusted name, cut for logs and messages. */
export function cutName(value: unknown): string {
  return typeof value === "string" ? value.slice(0, maxNameLength) : "";
}

/** The object of an AdmissionReview. Unreadable parts of the request are left out. */
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
