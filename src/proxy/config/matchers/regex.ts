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

/**
 * The maximum length of a text with replacements, which is longer than a head that servers accept. What exceeds it is
 * cut off. Otherwise a path of many matches could fill the memory. If the text stayed unchanged instead, a client could
 * reach a path that the route does not lead to.
 */
export const maxReplacedLength = 131_072;

/**
 * Replaces all matches. In the substitution, `\1` stands for a group, and `\\` for a backslash. As in RE2, a
 * substitution with a group that the expression does not have replaces nothing, and one with a backslash before
 * anything else ends there.
 */
export function compileReplacement(pattern: string, substitution: string, where: string): (text: string) => string {
  const compiled = compile(pattern, where);
  const parts = partsOf(substitution);
  const groups = compiled.groupCount();
  if (parts.some((part) => typeof part === "number" && part > groups)) return (text) => text;
  return (text) => {
    const matcher = compiled.matcher(text);
    let out = "";
    let at = 0;
    while (out.length <= maxReplacedLength && matcher.find()) {
      out += text.slice(at, matcher.start());
      for (const part of parts) {
        out += typeof part === "string" ? part : (matcher.group(part) ?? "");
        if (out.length > maxReplacedLength) break;
      }
      at = matcher.end();
    }
    return `${out}${text.slice(at)}`.slice(0, maxReplacedLength);
  };
}

function partsOf(substitution: string): (string | number)[] {
  const [valid = ""] = /^(?:[^\\]|\\[\d\\])*/.exec(substitution) ?? [];
  return Array.from(valid.matchAll(/\\(\d)|\\(\\)|[^\\]+/g), ([whole, group, backslash]) =>
    group === undefined ? (backslash ?? whole) : Number(group),
  );
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
