import type * as Re2 from "re2js";
import { loadPackage, messageOf } from "../../../base/index.ts";
import { maxRegexSize, regexSize } from "../../../base/regex-size/index.ts";
import type { WholeRegex } from "../../routing/matchers.ts";
import { invalid } from "../config-check.ts";

const maxShown = 1_000;

/**
 * Compiles an RE2 expression. It matches in linear time, because an expression of a user must not be able to block the
 * proxy.
 */
export function compileRegex(pattern: string, where: string): WholeRegex {
  const compiled = compile(pattern, where);
  return { matchesWhole: (text) => compiled.matcher(text).matches() };
}

/**
 * Compiles an RE2 expression for names that no client chooses. It is several times as fast as {@link compileRegex},
 * because it keeps up to 8 MB of states between matches.
 */
export function compileNameRegex(pattern: string, where: string): WholeRegex {
  const compiled = compile(pattern, where);
  return { matchesWhole: (text) => compiled.matches(text) };
}

/** Replaces all matches; `\1` in the substitution stands for a group. */
export function compileReplacement(pattern: string, substitution: string, where: string): (text: string) => string {
  const compiled = compile(pattern, where);
  const replacement = substitution.replaceAll("$", "\\$").replaceAll(/\\(\d)/g, "$$$1");
  return (text) => compiled.matcher(text).replaceAll(replacement, true);
}

function compile(pattern: string, where: string): Re2.RE2JS {
  const size = regexSize(pattern);
  if (size > maxRegexSize)
    throw invalid(
      where,
      `the regular expression "${pattern.slice(0, maxShown)}" has about ${size} instructions, of at most ${maxRegexSize}`,
    );
  const { RE2JS } = loadPackage<typeof Re2>("re2js");
  try {
    return RE2JS.compile(pattern);
  } catch (error) {
    const reason = messageOf(error).replace(/^error parsing regexp: /, "");
    throw invalid(where, `the regular expression "${pattern}" is not RE2: ${reason}`);
  }
}
