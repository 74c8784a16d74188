import type { UntypedObject } from "../../api/index.ts";
import { authorAnnotation } from "../../api/serin/index.ts";
import { authorOfRequest, planText, readAuthor, signAuthor, type RequestUser } from "./author-record.ts";

/** admission.k8s.io/v1, as far as it is read here. */
export interface AuthorReview {
  readonly request?: {
    readonly uid: string;
    readonly operation?: string;
    readonly userInfo?: RequestUser;
    readonly object?: unknown;
    readonly oldObject?: unknown;
  };
}

interface PatchOperation {
  readonly op: "add" | "remove";
  readonly path: string;
  readonly value?: unknown;
}

const forbidden = 403;

/**
 * Records the user who creates a rollout, or changes its effect, as its author. A change of only the orders, or of
 * metadata, keeps the author. A user who writes an empty annotation takes over the rollout. Any other value that a
 * client writes into the annotation is refused.
 */
export function reviewAuthor(review: AuthorReview, key: Buffer): unknown {
  const { request } = review;
  const object = request?.object as UntypedObject | undefined;
  if (request === undefined || object === undefined || object === null) return answer(review, {});
  const user = authorOfRequest(request.userInfo);
  const signature = object.metadata.annotations?.[authorAnnotation];
  const plan = planText(object);
  const old = request.operation === "CREATE" ? undefined : (request.oldObject as UntypedObject | null | undefined);
  const before = old?.metadata.annotations?.[authorAnnotation];
  if (signature !== undefined && signature !== "" && signature !== before) {
    // The API server may ask again in the same request, after others have changed the object. Then the annotation
    // already has our value.
    if (readAuthor(key, plan, signature)?.user !== user.user) return refuse(review);
    return answer(review, { wanted: signAuthor(key, plan, user), object });
  }
  const keeps = signature !== "" && old !== undefined && old !== null && planText(old) === plan;
  return answer(review, { wanted: keeps ? before : signAuthor(key, plan, user), object });
}

function refuse(review: AuthorReview): unknown {
  return answer(review, {
    refusal: `metadata.annotations[${authorAnnotation}] may be set only by the rollout engine: leave it out, or set it to "" to take the rollout over`,
  });
}

function answer(
  { request }: AuthorReview,
  { wanted, object, refusal }: { wanted?: string | undefined; object?: UntypedObject; refusal?: string },
): unknown {
  const patch = object === undefined ? [] : patchOf(object, wanted);
  return {
    apiVersion: "admission.k8s.io/v1",
    kind: "AdmissionReview",
    response: {
      uid: request?.uid ?? "",
      allowed: refusal === undefined,
      ...(refusal === undefined ? {} : { status: { code: forbidden, reason: "Forbidden", message: refusal } }),
      ...(patch.length === 0
        ? {}
        : { patchType: "JSONPatch", patch: Buffer.from(JSON.stringify(patch)).toString("base64") }),
    },
  };
}

function patchOf({ metadata }: UntypedObject, wanted: string | undefined): PatchOperation[] {
  if (metadata.annotations?.[authorAnnotation] === wanted) return [];
  const path = `/metadata/annotations/${authorAnnotation.replace("/", "~1")}`;
  if (wanted === undefined) return [{ op: "remove", path }];
  const parent: PatchOperation[] =
    metadata.annotations === undefined ? [{ op: "add", path: "/metadata/annotations", value: {} }] : [];
  return [...parent, { op: "add", path, value: wanted }];
}
