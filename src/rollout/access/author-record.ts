import { createHmac, timingSafeEqual } from "node:crypto";
import { canonicalJsonWithoutNulls } from "../../base/index.ts";
import type { RequestUser } from "../../api/admission-review/index.ts";
import type { UntypedObject } from "../../api/index.ts";

/** The user of a request, according to the API server. */
export interface Author {
  readonly user: string;
  readonly uid?: string;
  readonly groups: readonly string[];
  readonly extra: Readonly<Record<string, readonly string[]>>;
}

export function authorOfRequest({ username = "", uid, groups = [], extra = {} }: RequestUser = {}): Author {
  return { user: username, ...(uid === undefined || uid === "" ? {} : { uid }), groups, extra };
}

interface SignedAuthor extends Author {
  readonly signature: string;
}

/**
 * Fields by which people steer a running rollout. A user who writes only these does not become the rollout's author.
 */
const orderFields: ReadonlySet<string> = new Set(["paused", "abort", "approvals", "fullPromotion", "orderedBy"]);
const maxRecordBytes = 64 << 10;

/**
 * The rollout's kind, name and spec without orders, as a canonical text. The spec comes from the object as the API
 * server returns it, and not from the parser, because a parser's defaults may change between releases. The schema of
 * the kinds has no defaults, so reviews and readers get the same text.
 */
export function planText(object: Pick<UntypedObject, "kind" | "metadata"> & { readonly spec?: unknown }): string {
  const spec = Object.entries((object.spec ?? {}) as Record<string, unknown>).filter(
    ([field]) => !orderFields.has(field),
  );
  const { namespace = "", name = "", generateName = "" } = object.metadata;
  // The API server generates the name only after the webhooks have reviewed the object.
  return canonicalJsonWithoutNulls([
    object.kind,
    namespace,
    generateName === "" ? name : generateName,
    Object.fromEntries(spec),
  ]);
}

/** The annotation's value: the author, and a signature that binds the author to the rollout's spec. */
export function signAuthor(key: Buffer, plan: string, author: Author): string {
  const { user, uid, groups, extra } = author;
  const plain: Author = { user, ...(uid === undefined ? {} : { uid }), groups, extra };
  return JSON.stringify({ ...plain, signature: signatureOf(key, plan, plain) });
}

/** The author in an annotation. Undefined if the signature is not ours, or belongs to another rollout or spec. */
export function readAuthor(key: Buffer, plan: string, text: string | undefined): Author | undefined {
  if (text === undefined || text.length > maxRecordBytes) return undefined;
  try {
    const { signature, ...author } = JSON.parse(text) as SignedAuthor;
    const expected = Buffer.from(signatureOf(key, plan, author), "hex");
    const shown = Buffer.from(signature, "hex");
    return shown.length === expected.length && timingSafeEqual(shown, expected) ? author : undefined;
  } catch {
    return undefined;
  }
}

function signatureOf(key: Buffer, plan: string, author: Author): string {
  return createHmac("sha256", key)
    .update(canonicalJsonWithoutNulls([author as unknown, plan]))
    .digest("hex");
}
