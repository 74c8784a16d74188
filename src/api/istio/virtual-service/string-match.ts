import type { Reader } from "../../reader.ts";
import { refuseUnknown } from "../fields.ts";
import { checkRegex } from "../expressions/regular-expressions.ts";

/** Matches a value. The value must be equal, have a prefix, or match an RE2 expression as a whole. */
export interface StringMatch {
  readonly kind: "exact" | "prefix" | "regex";
  readonly value: string;
}

/** A match of a header or query parameter. `present` (upstream's empty match) accepts any value. */
export type PresenceMatch = StringMatch | { readonly kind: "present" };

const words = ["exact", "prefix", "regex"] as const;

/** Reads a StringMatch. Returns undefined if no match is set and, after it has reported an error, if several are. */
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

/** `regex: "*"` is not valid RE2. It has always meant that the value is present. */
export function readPresenceMatch(reader: Reader): PresenceMatch {
  if (reader.string("regex") === "*") return { kind: "present" };
  const match = readStringMatchIn(reader);
  if (match?.kind === "prefix" && match.value === "")
    reader.error("must not be empty; remove it to match any value", "prefix");
  return match ?? { kind: "present" };
}
