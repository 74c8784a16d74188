import type { Reader } from "../reader.ts";
import { refuseUnknown } from "./fields.ts";

/** How a value must look: equal, beginning so, or matched as a whole by an RE2 expression. */
export interface StringMatch {
  readonly kind: "exact" | "prefix" | "regex";
  readonly value: string;
}

/** Of a header or query parameter; `present` (upstream's empty match): that it is there, whatever its value. */
export type PresenceMatch = StringMatch | { readonly kind: "present" };

const words = ["exact", "prefix", "regex"] as const;

/** Undefined when it says nothing (or, beside an error, more than one thing). */
export function readStringMatchIn(reader: Reader): StringMatch | undefined {
  const found = words.flatMap((kind) => {
    const value = reader.string(kind);
    return value === undefined ? [] : [{ kind, value }];
  });
  refuseUnknown(reader);
  if (found.length > 1) reader.error(`must have one of exact, prefix and regex, got ${found.map(({ kind }) => kind).join(" and ")}`);
  return found[0];
}

export function readStringMatch(reader: Reader, field: string): StringMatch | undefined {
  const nested = reader.object(field);
  return nested === undefined ? undefined : readStringMatchIn(nested);
}
