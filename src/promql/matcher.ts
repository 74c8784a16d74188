import { RE2JS } from "re2js";
import { messageOf, userError } from "../base/index.ts";

export type MatchOperator = "=" | "!=" | "=~" | "!~";

/** A condition on one label. An absent label counts as empty. */
export interface Matcher {
  readonly name: string;
  readonly operator: MatchOperator;
  readonly value: string;
  readonly matches: (value: string) => boolean;
}

/** Throws a user error if the value of `=~` or `!~` is no valid RE2 expression. */
export function createMatcher(name: string, operator: MatchOperator, value: string): Matcher {
  return { name, operator, value, matches: predicateOf(operator, value) };
}

function predicateOf(operator: MatchOperator, value: string): (value: string) => boolean {
  switch (operator) {
    case "=":
      return (candidate) => candidate === value;
    case "!=":
      return (candidate) => candidate !== value;
    case "=~":
      return wholeMatch(value);
    case "!~": {
      const matches = wholeMatch(value);
      return (candidate) => !matches(candidate);
    }
  }
}

/** Bounds the number of values that one selector remembers. */
const maxRemembered = 10_000;

function wholeMatch(expression: string): (value: string) => boolean {
  const compiled = compileWhole(expression);
  const seen = new Map<string, boolean>();
  return (value) => {
    const known = seen.get(value);
    if (known !== undefined) return known;
    const matches = compiled.matcher(value).matches();
    if (seen.size < maxRemembered) seen.set(value, matches);
    return matches;
  };
}

/** Compiles an RE2 expression like Prometheus: anchored at both ends, with a dot that matches line breaks. */
export function compileWhole(expression: string): RE2JS {
  try {
    return RE2JS.compile(`^(?:${expression})$`, RE2JS.DOTALL);
  } catch (cause) {
    throw userError("bad-query", `"${expression}" is not a valid RE2 expression: ${messageOf(cause)}`, {
      cause,
    });
  }
}
