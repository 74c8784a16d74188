import { recordsAfter, type StoredRecord } from "../store/index.ts";
import { includeObjectOf, sendForm, type ResourceContext, type ServerParts } from "./context.ts";
import type { ListMetadata } from "./encoder.ts";
import { answerFormOf } from "./negotiate.ts";
import { checkListOptions, numberOption } from "./options.ts";
import { parseLabelSelector } from "./label-selector.ts";
import { parseFieldSelector, type RecordTest } from "./field-selector.ts";
import { ApiError, badRequest, expired, notFound } from "./status.ts";

/** The objects of a collection that a list, watch or deletecollection selects. */
export interface Selection {
  readonly namespace: string;
  readonly matches: RecordTest | undefined;
}

export function selectionOf({ info, query, type }: ResourceContext): Selection {
  const labels = parseLabelSelector(query.get("labelSelector"));
  const fields = parseFieldSelector(query.get("fieldSelector"), type);
  const namespace = type.namespaced ? info.namespace || (fields.namespace ?? "") : "";
  const { test } = fields;
  if (labels === undefined) return { namespace, matches: test };
  if (test === undefined) return { namespace, matches: (record) => labels(record.labels) };
  return { namespace, matches: (record) => labels(record.labels) && test(record) };
}

export async function getObject(parts: ServerParts, context: ResourceContext): Promise<void> {
  const { info, query, type } = context;
  const form = answerFormOf(context.request.headers.accept);
  requireKnownRevision(parts, query.get("resourceVersion"));
  const record = parts.store.get(type.storageKey, type.namespaced ? info.namespace : "", info.name);
  if (record === undefined) throw notFound(type, info.name);
  await sendForm(context, 200, form, parts.encoder.record(type, record, form, includeObjectOf(query)));
}

export async function listObjects(parts: ServerParts, context: ResourceContext): Promise<void> {
  const form = answerFormOf(context.request.headers.accept);
  checkListOptions(context.query, "list");
  const page = pageOf(parts, context);
  await sendForm(
    context,
    200,
    form,
    parts.encoder.list(context.type, page.records, page.metadata, form, includeObjectOf(context.query)),
  );
}

interface Page {
  readonly records: readonly StoredRecord[];
  readonly metadata: ListMetadata;
}

interface ContinueToken {
  /** The resourceVersion that all pages of the list share, or {@link inconsistent}. */
  readonly revision: number;
  readonly namespace: string;
  readonly name: string;
}

/**
 * A token with this revision continues the list with the newest state, because the server no longer has the first
 * page's version.
 */
const inconsistent = -1;

function pageOf(parts: ServerParts, context: ResourceContext): Page {
  const { query, type } = context;
  const limit = numberOption(query, "limit") ?? 0;
  const token = decodeContinue(query.get("continue"));
  const selection = selectionOf(context);
  const revision =
    token === undefined ? listRevision(parts, query) : token.revision === inconsistent ? undefined : token.revision;
  const collection = parts.store.collection(type.storageKey);
  const all =
    revision === undefined ? collection.list(selection.namespace) : collection.listAt(revision, selection.namespace);
  const shown = revision ?? parts.store.revision;
  if (all === undefined) {
    if (token === undefined) throw expired(`too old resource version: ${shown} (${collection.revision})`);
    throw expired(tokenExpired, { continue: encodeContinue({ ...token, revision: inconsistent }) });
  }
  const rest = token === undefined ? all : recordsAfter(all, token.namespace, token.name);
  if (selection.matches === undefined && (limit <= 0 || rest.length <= limit))
    return { records: rest, metadata: { resourceVersion: String(shown) } };
  return limited(
    selection.matches === undefined ? rest : rest.filter(selection.matches),
    limit,
    shown,
    selection.matches === undefined,
  );
}

const tokenExpired =
  "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.";

function limited(records: readonly StoredRecord[], limit: number, revision: number, countable: boolean): Page {
  if (limit <= 0 || records.length <= limit) return { records, metadata: { resourceVersion: String(revision) } };
  const taken = records.slice(0, limit);
  const last = taken.at(-1);
  const token = encodeContinue({ revision, namespace: last?.namespace ?? "", name: last?.name ?? "" });
  const remaining = countable ? { remainingItemCount: records.length - limit } : {};
  return { records: taken, metadata: { resourceVersion: String(revision), continue: token, ...remaining } };
}

/**
 * The revision that a list with `resourceVersionMatch=Exact` requires. Other lists show the newest state, for which
 * this returns undefined.
 */
function listRevision(parts: ServerParts, query: URLSearchParams): number | undefined {
  const text = query.get("resourceVersion");
  const match = query.get("resourceVersionMatch");
  const revision = requireKnownRevision(parts, text);
  return match === "Exact" ? revision : undefined;
}

/** Parses a resourceVersion. Throws 504 for a version in the future. kube-apiserver does the same after a wait. */
export function requireKnownRevision(parts: ServerParts, text: string | null): number | undefined {
  if (text === null || text === "") return undefined;
  const revision = Number(text);
  if (!/^\d+$/.test(text))
    throw badRequest(`resourceVersion: Invalid value: "${text}": strconv.ParseUint: parsing "${text}": invalid syntax`);
  if (revision > parts.store.revision) {
    const causes = [{ reason: "ResourceVersionTooLarge", message: "Too large resource version" }];
    throw new ApiError(
      504,
      "Timeout",
      `Timeout: Too large resource version: ${text}, current: ${parts.store.revision}`,
      { causes, retryAfterSeconds: 1 },
    );
  }
  return revision;
}

function encodeContinue(token: ContinueToken): string {
  return Buffer.from(
    JSON.stringify({ v: "meta.k8s.io/v1", rv: token.revision, start: `${token.namespace}/${token.name}` }),
  ).toString("base64url");
}

function decodeContinue(text: string | null): ContinueToken | undefined {
  if (text === null || text === "") return undefined;
  try {
    const { rv, start } = JSON.parse(Buffer.from(text, "base64url").toString("utf8")) as { rv: number; start: string };
    if (!Number.isSafeInteger(rv) || rv < inconsistent) throw new Error("it has no version");
    const slash = start.indexOf("/");
    return { revision: rv, namespace: start.slice(0, slash), name: start.slice(slash + 1) };
  } catch (error) {
    throw badRequest(
      `invalid continue token: continue key is not valid: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}
