import { RE2JS } from "re2js";
import { messageOf, userError } from "../base/index.ts";
import { maxRegexSize, regexSize } from "../base/regex-size/index.ts";

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

/**
 * The product of an expression's size and a text's length, to which the time of a match is proportional: about half a
 * second.
 */
const maxMatchWork = 20_000_000;

/** Throws a user error if the match would take so long that nothing could end the query in time. */
export function boundMatch(compiled: RE2JS, text: string): void {
  if (compiled.programSize() * text.length > maxMatchWork)
    throw userError("query-too-large", `a text of ${text.length} characters is too long for a regular expression`, {
      hint: "use a shorter expression, or select fewer series",
    });
}

/** Bounds the number of values that one selector remembers. */
const maxRemembered = 10_000;

function wholeMatch(expression: string): (value: string) => boolean {
  const compiled = compileWhole(expression);
  const seen = new Map<string, boolean>();
  return (value) => {
    const known = seen.get(value);
    if (known !== undefined) return known;
    boundMatch(compiled, value);
    const matches = compiled.matcher(value).matches();
    if (seen.size < maxRemembered) seen.set(value, matches);
    return matches;
  };
}

/** Compiles an RE2 expression like Prometheus: anchored at both ends, with a dot that matches line breaks. */
export function compileWhole(expression: string): RE2JS {
  const size = regexSize(expression);
  if (size > maxRegexSize)
    throw userError(
      "bad-query",
      `a regular expression has about ${size} instructions, of at most ${maxRegexSize}: repeat less by {n,m}`,
    );
  try {
    return RE2JS.compile(`^(?:${expression})$`, RE2JS.DOTALL);
  } catch (cause) {
    throw userError("bad-query", `"${expression}" is not a valid RE2 expression: ${messageOf(cause)}`, {
      cause,
    });
  }
}
