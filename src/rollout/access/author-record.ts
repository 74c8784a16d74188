import { createHmac, timingSafeEqual } from "node:crypto";
import type { UntypedObject } from "../../api/index.ts";

/** Whoever the API server says that a request is of. */
export interface Author {
  readonly user: string;
  readonly uid?: string;
  readonly groups: readonly string[];
  readonly extra: Readonly<Record<string, readonly string[]>>;
}

/** Of an AdmissionReview. */
export interface RequestUser {
  readonly username?: string;
  readonly uid?: string;
  readonly groups?: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

export function authorOfRequest({ username = "", uid, groups = [], extra = {} }: RequestUser = {}): Author {
  return { user: username, ...(uid === undefined || uid === "" ? {} : { uid }), groups, extra };
}

interface SignedAuthor extends Author {
  readonly signature: string;
}

/** What people say of a rollout while it goes on: whoever may write it may say so, and does not thereby become its author. */
const orderFields: ReadonlySet<string> = new Set(["paused", "abort", "approvals", "fullPromotion", "orderedBy"]);
const maxRecordBytes = 64 << 10;

/**
 * The spec without orders, as one text whatever the order of its members. It is taken of the object as the API server shows it, to
 * reviews and to readers alike: what a parser adds may change from release to release, and the kinds have no defaults in their schema.
 */
export function planText(object: Pick<UntypedObject, "kind" | "metadata"> & { readonly spec?: unknown }): string {
  const spec = Object.entries((object.spec ?? {}) as Record<string, unknown>).filter(
    ([field]) => !orderFields.has(field),
  );
  const { namespace = "", name = "", generateName = "" } = object.metadata;
  // The API server makes a generated name after reviews.
  return canonical([object.kind, namespace, generateName === "" ? name : generateName, Object.fromEntries(spec)]);
}

/** The annotation's value: the author, bound by a signature to what the rollout does. */
export function signAuthor(key: Buffer, plan: string, author: Author): string {
  const { user, uid, groups, extra } = author;
  const plain: Author = { user, ...(uid === undefined ? {} : { uid }), groups, extra };
  return JSON.stringify({ ...plain, signature: signatureOf(key, plan, plain) });
}

/** The author that an annotation tells; undefined where it is not ours, or is of another spec. */
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
    .update(canonical([author as unknown, plan]))
    .digest("hex");
}

/** JSON with sorted members, without those that are null. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) =>
    typeof item === "object" && item !== null && !Array.isArray(item)
      ? Object.fromEntries(
          Object.entries(item)
            .filter(([, member]) => member !== null && member !== undefined)
            .toSorted(([a], [b]) => (a < b ? -1 : 1)),
        )
      : item,
  );
}
