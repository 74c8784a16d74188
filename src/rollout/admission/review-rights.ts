import type { AdmissionReview } from "../../api/admission-review/index.ts";
import { canaryKind } from "../../api/serin/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import {
  authorOfRequest,
  describeQuestion,
  planText,
  questionsOfCanary,
  type AccessQuestion,
  type AccessReviews,
  type Author,
} from "../access/index.ts";
import { trustedUser } from "./review.ts";

export interface NeededRights {
  readonly name: string;
  readonly author: Author;
  readonly questions: readonly AccessQuestion[];
}

/**
 * The rights that a review must check. Undefined if the object needs no rights, or if they are unknown before there is
 * a plan.
 */
export function neededRights(review: AdmissionReview): NeededRights | undefined {
  const { kind, operation, object, oldObject, userInfo } = review.request ?? {};
  if (kind?.kind !== canaryKind.kind || kind.group !== canaryKind.group || operation === "DELETE") return undefined;
  const author = authorOfRequest(userInfo);
  if (author.user === "" || author.user === trustedUser || !changesPlan(object, oldObject)) return undefined;
  const { value } = canaryKind.parse?.(object) ?? {};
  if (value === undefined) return undefined;
  return { name: value.metadata.name ?? "", author, questions: questionsOfCanary(value) };
}

/** Why the author of a Canary lacks a needed right. Undefined if the author has all rights. */
export async function refusalByRights(
  { name, author, questions }: NeededRights,
  reviews: AccessReviews,
): Promise<string | undefined> {
  const denied = await reviews.denied(author, questions);
  return denied.length === 0
    ? undefined
    : `Canary "${name}": the engine does what the author of a Canary may do, and ${author.user} may not: ${denied.map(describeQuestion).join("; ")}`;
}

function changesPlan(object: unknown, oldObject: unknown): boolean {
  if (oldObject === undefined || oldObject === null || object === undefined || object === null) return true;
  return planText(object as UntypedObject) !== planText(oldObject as UntypedObject);
}
