import type { KubernetesObject } from "../api/index.ts";
import { pickExcerpt, readExcerptList, type Excerpt } from "./excerpt.ts";
import { unreadable, type RequestSubject } from "./status-error.ts";

interface ListBody<Value> {
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string };
  readonly items?: Value[] | null;
}

export interface ListPage<Value> {
  readonly items: readonly Value[];
  readonly resourceVersion: string;
  /** The token of the next page, or an empty string on the last page. */
  readonly next: string;
}

export interface AnswerBody {
  readonly isBinary: boolean;
  readonly bytes: Buffer;
}

/** Parses a page of a list. If the page contains its continue token before the objects, calls `ahead` with it first. */
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

/** Matches the beginning of a list in JSON, with the list's own metadata, if these come before the objects. */
const listHead = /^\{(?:"(?:kind|apiVersion)":"[^"\\]*",)*"metadata":(\{[^{}]*\})/;

/**
 * Finds the token of the next page without parsing the objects. Returns undefined if there is none, or if the text does
 * not match {@link listHead}.
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
