import type { FilterRequest } from "./http-filter.ts";

/** The query that the upstream gets. */
export function queryAfterEdits(request: FilterRequest): string {
  const target = request.header(":path");
  if (target === undefined) return request.query;
  const mark = target.indexOf("?");
  return mark < 0 ? "" : target.slice(mark + 1);
}

export interface QueryEdits {
  /** The parameters with their new values. A new value replaces all values of the parameter. */
  readonly set: readonly (readonly [name: string, value: string])[];
  readonly remove: readonly string[];
}

/** Edits the query. Names are compared decoded, and the rest of the target stays as the client wrote it. */
export function editQuery(request: FilterRequest, { set, remove }: QueryEdits): void {
  const target = request.header(":path") ?? request.head.target();
  const mark = target.indexOf("?");
  const pairs = mark < 0 ? [] : target.slice(mark + 1).split("&");
  const replaced = [...remove, ...set.map(([name]) => name)];
  const kept = pairs.filter((pair) => {
    const parameter = new URLSearchParams(pair);
    return !replaced.some((name) => parameter.has(name));
  });
  if (kept.length === pairs.length && set.length === 0) return;
  const written = [...kept, ...set.map(([name, value]) => `${queryText(name)}=${queryText(value)}`)].join("&");
  request.setHeader(":path", `${mark < 0 ? target : target.slice(0, mark)}${written === "" ? "" : `?${written}`}`);
}

/** A text for a query, which may be percent-encoded already. Characters that would end it are encoded. */
function queryText(text: string): string {
  return text.replaceAll(/[^\w%~!$'()*+,\-./:;?@]+/gu, (part) => encodeURIComponent(part.toWellFormed()));
}
