import type * as Re2 from "re2js";
import { loadPackage, messageOf, userError } from "../base/index.ts";
import { maxRegexSize, regexSize } from "../base/regex-size/index.ts";

export type MatchOperator = "=" | "!=" | "=~" | "!~";

/** A condition on one label. An absent label counts as empty. */
export interface Matcher {
  readonly name: string;
  readonly operator: MatchOperator;
  readonly value: string;
  readonly matches: (value: string) => boolean;
}

/**
 * Makes a matcher. Throws a user error if the value of `=~` or `!~` is not valid RE2, or is too large for what the
 * request may still use.
 */
export function createMatcher(
  name: string,
  operator: MatchOperator,
  value: string,
  regexes = new RequestRegexes(),
): Matcher {
  return { name, operator, value, matches: predicateOf(operator, value, regexes) };
}

/**
 * A matcher that calls `checkpoint` before each match. A store tries many thousands of matches, and `checkpoint` may
 * throw an error to end the query.
 */
export function checkedMatcher(matcher: Matcher, checkpoint: () => void): Matcher {
  return {
    ...matcher,
    matches: (value) => {
      checkpoint();
      return matcher.matches(value);
    },
  };
}

function predicateOf(operator: MatchOperator, value: string, regexes: RequestRegexes): (value: string) => boolean {
  switch (operator) {
    case "=":
      return (candidate) => candidate === value;
    case "!=":
      return (candidate) => candidate !== value;
    case "=~":
      return regexes.wholeMatch(value);
    case "!~": {
      const matches = regexes.wholeMatch(value);
      return (candidate) => !matches(candidate);
    }
  }
}

/**
 * The maximum product of an expression's size and a text's length. The time of a match is proportional to it. The
 * maximum takes about half a second.
 */
const maxMatchWork = 20_000_000;

/** Throws a user error if a match could take too long, because nothing could end the query during the match. */
export function boundMatch(compiled: Re2.RE2JS, text: string): void {
  if (compiled.programSize() * text.length > maxMatchWork)
    throw userError("query-too-large", `a string of ${text.length} characters is too long for a regular expression`, {
      hint: "use a shorter expression, or select fewer series",
    });
}

/** For so many values, an expression caches whether it matches them. */
const maxRemembered = 10_000;

/**
 * The regular expressions of one request. Each distinct expression is compiled only once, because a dashboard repeats
 * one in many selectors. All of them share a limit for the instructions that repetitions add.
 */
export class RequestRegexes {
  readonly #predicates = new Map<string, (value: string) => boolean>();
  #repeatedSize = 0;

  wholeMatch(expression: string): (value: string) => boolean {
    const known = this.#predicates.get(expression);
    if (known !== undefined) return known;
    const predicate = remembering(compileWhole(expression, maxRegexSize - this.#repeatedSize));
    this.#repeatedSize += repeatedSize(expression);
    this.#predicates.set(expression, predicate);
    return predicate;
  }
}

function remembering(compiled: Re2.RE2JS): (value: string) => boolean {
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

/**
 * How many instructions an expression has beyond one for each of its characters. Only repetitions such as `{1000}` add
 * these. Its characters have the limit of the request's length, and need no stricter one, because an expression that
 * lists a thousand pods is ordinary.
 */
function repeatedSize(expression: string): number {
  return Math.max(0, regexSize(expression) - expression.length);
}

/** The maximum number of characters of a refused expression that an error quotes. */
const maxShown = 60;

/**
 * Compiles an RE2 expression as Prometheus does: it must match the whole text, and its dot also matches line breaks.
 */
export function compileWhole(expression: string, allowedRepetition = maxRegexSize): Re2.RE2JS {
  const repeated = repeatedSize(expression);
  if (repeated > allowedRepetition) {
    const shown = expression.length > maxShown ? `${expression.slice(0, maxShown)}…` : expression;
    const allowed =
      allowedRepetition === maxRegexSize
        ? `more than the ${maxRegexSize} that are allowed`
        : `more than the ${allowedRepetition} that the expressions before it leave of ${maxRegexSize}`;
    throw userError(
      "bad-query",
      `the repetitions of the regular expression "${shown}" stand for about ${repeated} instructions, ${allowed}; repeat less by {n,m}`,
    );
  }
  try {
    const { RE2JS } = loadPackage<typeof Re2>("re2js");
    return RE2JS.compile(`^(?:${expression})$`, RE2JS.DOTALL);
  } catch (cause) {
    throw userError("bad-query", `"${expression}" is not a valid RE2 expression: ${messageOf(cause)}`, {
      cause,
    });
  }
}
