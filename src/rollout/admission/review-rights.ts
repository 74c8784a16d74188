import { canaryKind, type Canary } from "../../api/serin/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { authorOfRequest, describeQuestion, planText, questionsOfCanary, type AccessReviews } from "../access/index.ts";
import { trustedUser, type RolloutReview } from "./review.ts";

/**
 * What the author of a Canary lacks the right for. Undefined if nothing, or if that is unknown before there is a plan.
 */
export async function refusalByRights(review: RolloutReview, reviews: AccessReviews): Promise<string | undefined> {
  const { kind, operation, object, oldObject, userInfo } = review.request ?? {};
  if (kind?.kind !== canaryKind.kind || kind.group !== canaryKind.group || operation === "DELETE") return undefined;
  const author = authorOfRequest(userInfo);
  if (author.user === "" || author.user === trustedUser || !changesPlan(object, oldObject)) return undefined;
  const { value } = canaryKind.parse?.(object) ?? {};
  if (value === undefined) return undefined;
  const denied = await reviews.denied(author, questionsOfCanary(value satisfies Canary));
  return denied.length === 0
    ? undefined
    : `Canary "${value.metadata.name ?? ""}": the engine does what the author of a Canary may do, and ${author.user} may not: ${denied.map(describeQuestion).join("; ")}`;
}

function changesPlan(object: unknown, oldObject: unknown): boolean {
  if (oldObject === undefined || oldObject === null || object === undefined || object === null) return true;
  return planText(object as UntypedObject) !== planText(oldObject as UntypedObject);
}
