import type { FilterRequest } from "./http-filter.ts";

/** The request's query with the edits of filters, as the upstream gets it. */
export function queryAfterEdits(request: FilterRequest): string {
  const target = request.header(":path");
  if (target === undefined) return request.query;
  const mark = target.indexOf("?");
  return mark < 0 ? "" : target.slice(mark + 1);
}

export interface QueryEdits {
  /** The parameters with their new values. All values of a parameter are replaced. */
  readonly set: readonly (readonly [name: string, value: string])[];
  readonly remove: readonly string[];
}

/** Edits the query. Names are compared in their decoded form. The rest of the target stays as the client wrote it. */
export function editQuery(request: FilterRequest, { set, remove }: QueryEdits): void {
  const target = request.header(":path") ?? request.head.target();
  const mark = target.indexOf("?");
  const pairs = mark < 0 ? [] : target.slice(mark + 1).split("&");
  const replaced = new Set<string | undefined>([...remove, ...set.map(([name]) => name)]);
  const kept = pairs.filter((pair) => !replaced.has(nameOf(pair)));
  if (kept.length === pairs.length && set.length === 0) return;
  const written = [...kept, ...set.map(([name, value]) => `${queryText(name)}=${queryText(value)}`)].join("&");
  request.setHeader(":path", `${mark < 0 ? target : target.slice(0, mark)}${written === "" ? "" : `?${written}`}`);
}

/** The decoded name of a parameter. Undefined if there is no parameter. */
function nameOf(pair: string): string | undefined {
  return new URLSearchParams(pair).keys().next().value;
}

/**
 * Encodes a text for a query. The text may already be percent-encoded, so only characters that would end it are
 * encoded.
 */
function queryText(text: string): string {
  return text.replaceAll(/[^\w%~!$'()*+,\-./:;?@]+/gu, (part) => encodeURIComponent(part.toWellFormed()));
}
