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

/** Throws a user error if the value of `=~` or `!~` is not a valid RE2 expression, or is too large for the request. */
export function createMatcher(
  name: string,
  operator: MatchOperator,
  value: string,
  regexes = new RequestRegexes(),
): Matcher {
  return { name, operator, value, matches: predicateOf(operator, value, regexes) };
}

/**
 * The matcher with a call of `checkpoint` before each match. The call may throw to end the query, because a store tries
 * many thousands of matches.
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
 * The maximum product of an expression's size and a text's length. The time of a match is proportional to it, so this
 * means about half a second.
 */
const maxMatchWork = 20_000_000;

/** Throws a user error if the match would take too long, because nothing could end the query during it. */
export function boundMatch(compiled: Re2.RE2JS, text: string): void {
  if (compiled.programSize() * text.length > maxMatchWork)
    throw userError("query-too-large", `a string of ${text.length} characters is too long for a regular expression`, {
      hint: "use a shorter expression, or select fewer series",
    });
}

/** Bounds the number of values that one expression remembers. */
const maxRemembered = 10_000;

/**
 * The regular expressions of one request. Each distinct one is compiled once, because a dashboard writes the same
 * expression into many selectors. The total number of instructions that their repetitions add is bounded.
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
 * The number of instructions that an expression has in addition to one for each of its characters. Only repetitions
 * such as `{1000}` add any. The characters themselves are bounded together with the text of the request, because a list
 * of a thousand pods is ordinary.
 */
function repeatedSize(expression: string): number {
  return Math.max(0, regexSize(expression) - expression.length);
}

/** The maximum number of characters that an error shows of a refused expression. */
const maxShown = 60;

/** Compiles an RE2 expression as Prometheus does. It is anchored at both ends, and its dot matches line breaks. */
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
