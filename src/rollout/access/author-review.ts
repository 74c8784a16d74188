import { pointerName } from "../../base/index.ts";
import { allow, type AdmissionAnswer, type AdmissionReview } from "../../api/admission-review/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { authorAnnotation, ownUidAnnotation, unknownUid, type RolloutStatus } from "../../api/serin/index.ts";
import { authorOfRequest, planText, readAuthor, signAuthor } from "./author-record.ts";
import { ordersOfOthers, ownOrders, type PatchOperation } from "./orders-of-others.ts";

/**
 * Records the user who creates a rollout, or changes its effect, as its author. A change of only the orders, or of
 * metadata, keeps the author. A user who writes an empty annotation takes over the rollout.
 *
 * Any other value from a client is ignored. It is not refused, because backups and exported manifests contain it. An
 * object that is created with such an annotation, or with orders of other users, is a copy: the webhook marks it and
 * removes the orders of other users, and a person must let it begin. The mark goes only when a user takes the copy over
 * after the engine has noted which orders the copy had.
 */
export function reviewAuthor(review: AdmissionReview, key: Buffer): AdmissionAnswer {
  const { request } = review;
  const object = request?.object as UntypedObject | undefined;
  if (request === undefined || object === undefined || object === null) return allow(review);
  const user = authorOfRequest(request.userInfo);
  const signature = object.metadata.annotations?.[authorAnnotation];
  const plan = planText(object);
  const old = request.operation === "CREATE" ? undefined : (request.oldObject as UntypedObject | null | undefined);
  const before = old?.metadata.annotations?.[authorAnnotation];
  // The API server may call the webhook again in the same request, after other webhooks have changed the object. Then
  // the annotation already has our value.
  const isOwn = readAuthor(key, plan, signature)?.user === user.user;
  const isForeign = (signature ?? "") !== "" && signature !== before && !isOwn;
  const isKept =
    signature !== "" && old !== undefined && old !== null && planText(old) === plan && (signature === before || !isOwn);
  const wanted: Record<string, string | undefined> = {
    [authorAnnotation]: isKept ? before : signAuthor(key, plan, user),
  };
  const mark = object.metadata.annotations?.[ownUidAnnotation];
  const marked = old?.metadata.annotations?.[ownUidAnnotation];
  const foreign = request.operation === "CREATE" ? ordersOfOthers(object, user.user) : [];
  const isCopy = request.operation === "CREATE" && (isForeign || foreign.length > 0);
  // If the API server calls the webhook again in the same request, the empty annotation has our value already, and the
  // mark is gone.
  const takesOver = hasNotedOrders(old) && (signature === "" || (isOwn && mark === undefined));
  if (takesOver) wanted[ownUidAnnotation] = undefined;
  else if (marked !== undefined) wanted[ownUidAnnotation] = marked;
  else if (isCopy && mark === undefined) wanted[ownUidAnnotation] = unknownUid;
  return allow(review, {
    patch: [...patchOf(object, wanted), ...(foreign.length === 0 ? [] : ownOrders(object, user.user))],
    warnings: [
      ...(isForeign ? [warningOf(user.user, isCopy)] : []),
      ...foreign.map(({ path, by }) => `${path}: is removed, because ${by} gave the order to another object`),
    ],
  });
}

/** Whether the engine has noted the orders of a copy, so that these do not apply to it. */
function hasNotedOrders(old: UntypedObject | null | undefined): boolean {
  return (old?.["status"] as Partial<RolloutStatus> | undefined)?.pauseReason === "restored";
}

function warningOf(user: string, isCopy: boolean): string {
  const ignored = `metadata.annotations[${authorAnnotation}]: the author of another object or spec counts for nothing`;
  return isCopy
    ? `${ignored}: ${user === "" ? "the creator" : user} is the author of this one, which waits until a person lets it begin`
    : `${ignored}: leave it out, or set it to "" to take the rollout over`;
}

/**
 * The patch operations that give the annotations the wanted values. They remove the annotations that have no wanted
 * value.
 */
function patchOf(
  { metadata: { annotations } }: UntypedObject,
  wanted: Readonly<Record<string, string | undefined>>,
): PatchOperation[] {
  const changes = Object.entries(wanted).flatMap(([name, value]): PatchOperation[] => {
    if (annotations?.[name] === value) return [];
    const path = `/metadata/annotations/${pointerName(name)}`;
    return [value === undefined ? { op: "remove", path } : { op: "add", path, value }];
  });
  return annotations === undefined && changes.length > 0
    ? [{ op: "add", path: "/metadata/annotations", value: {} }, ...changes]
    : changes;
}
