import type { Reader } from "../../reader.ts";
import { refuseUnknown } from "../fields.ts";
import { checkRegex } from "../expressions/regular-expressions.ts";

/** How a value must match: it equals the given one, begins with it, or matches it as an RE2 expression as a whole. */
export interface StringMatch {
  readonly kind: "exact" | "prefix" | "regex";
  readonly value: string;
}

/** A match of a header or query parameter. `present` (an empty match in upstream) accepts any value. */
export type PresenceMatch = StringMatch | { readonly kind: "present" };

const words = ["exact", "prefix", "regex"] as const;

/** Reads a StringMatch. Returns undefined if it has no match. Several matches are an error. */
export function readStringMatchIn(reader: Reader): StringMatch | undefined {
  const found = words.flatMap((kind) => {
    const value = reader.string(kind);
    return value === undefined ? [] : [{ kind, value }];
  });
  refuseUnknown(reader);
  if (found.length > 1)
    reader.error(`must have one of exact, prefix and regex, got ${found.map(({ kind }) => kind).join(" and ")}`);
  const [match] = found;
  if (match?.kind === "regex") checkRegex(reader, "regex", match.value);
  return match;
}

/** Reads a match of a whole value. An empty prefix is rejected, because it would match everything. */
export function readStringMatch(reader: Reader, field: string): StringMatch | undefined {
  const nested = reader.object(field);
  const match = nested === undefined ? undefined : readStringMatchIn(nested);
  if (match?.kind === "prefix" && match.value === "")
    nested?.error("must not be empty; remove the match to match all", "prefix");
  return match;
}

/**
 * Reads a match of a header or parameter. As in upstream, `regex: "*"` means that the value is present, although it is
 * not valid RE2.
 */
export function readPresenceMatch(reader: Reader): PresenceMatch {
  if (reader.string("regex") === "*") return { kind: "present" };
  const match = readStringMatchIn(reader);
  if (match?.kind === "prefix" && match.value === "")
    reader.error("must not be empty; remove it to match any value", "prefix");
  return match ?? { kind: "present" };
}
