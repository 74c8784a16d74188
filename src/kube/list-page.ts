import type { KubernetesObject } from "../api/index.ts";
import { pickExcerpt, readExcerptList, type Excerpt } from "./excerpt.ts";
import { unreadable, type RequestSubject } from "./status-error.ts";

interface ListBody<Value> {
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string };
  readonly items?: Value[] | null;
}

/** The result of one list request. */
export interface ListPage<Value> {
  readonly items: readonly Value[];
  readonly resourceVersion: string;
  /** The token of the next page. Empty on the last page. */
  readonly next: string;
}

/** The body of a response. */
export interface AnswerBody {
  readonly isBinary: boolean;
  readonly bytes: Buffer;
}

/** Reads a page of a list. If the next page's token precedes the objects, first calls `ahead` with it. */
export function readPage<Value extends KubernetesObject>(
  { isBinary, bytes }: AnswerBody,
  subject: RequestSubject,
  excerpt: Excerpt | undefined,
  ahead: (token: string) => void,
): ListPage<Value> {
  if (isBinary && excerpt !== undefined) {
    const list = readExcerptList(excerpt, bytes);
    if (list.next !== "") ahead(list.next);
    return { items: list.items() as unknown[] as Value[], resourceVersion: list.resourceVersion, next: list.next };
  }
  const text = bytes.toString("utf8");
  const early = continuationOf(text);
  if (early !== undefined) ahead(early);
  const { items, metadata } = parsed<ListBody<Value>>(text, subject);
  const whole = items ?? [];
  return {
    items: excerpt === undefined ? whole : whole.map((item) => pickExcerpt(excerpt, item)),
    resourceVersion: metadata?.resourceVersion ?? "",
    next: metadata?.continue ?? "",
  };
}

/** The beginning of a list up to its objects: its kind and its own metadata. */
const listHead = /^\{(?:"(?:kind|apiVersion)":"[^"\\]*",)*"metadata":(\{[^{}]*\})/;

/**
 * The token of the next page, found without parsing the items. Undefined if there is no token, or if the list does not
 * match {@link listHead}.
 */
function continuationOf(text: string): string | undefined {
  const [, metadata] = listHead.exec(text) ?? [];
  if (metadata === undefined) return undefined;
  try {
    const { continue: token } = JSON.parse(metadata) as { readonly continue?: unknown };
    return typeof token === "string" && token !== "" ? token : undefined;
  } catch {
    return undefined;
  }
}

export function parsed<Answer>(text: string, subject: RequestSubject): Answer {
  try {
    return JSON.parse(text) as Answer;
  } catch (error) {
    throw unreadable(subject, error);
  }
}
