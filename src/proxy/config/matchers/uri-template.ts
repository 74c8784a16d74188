import type { StringMatcher } from "../../routing/matchers.ts";
import { invalid } from "../config-check.ts";
import { compileRegex } from "./regex.ts";

/**
 * Compiles a path template. `*` stands for one segment that is not empty. `**` stands for any remaining path, including
 * slashes. Both may be in braces, with a name.
 */
export function compileUriTemplate(template: string, where: string): StringMatcher {
  if (!template.startsWith("/")) throw invalid(where, `the path template "${template}" must begin with a slash`);
  const pieces: string[] = [];
  let seenRest = false;
  let inSegment = 0;
  let severalInSegment = false;
  for (const match of template.matchAll(/\{([^{}]*)\}|(\*{1,2})|([^{}*]+)|./g)) {
    const [whole, braces, stars, literal] = match;
    if (literal !== undefined) {
      if (literal.includes("/")) inSegment = 0;
      pieces.push(literal.replaceAll(/[\\^$.*+?()[\]{}|/]/g, String.raw`\$&`));
      continue;
    }
    const operator =
      stars ??
      (braces === undefined
        ? undefined
        : (/^(?:\w+=)?(\*{1,2})$/.exec(braces)?.[1] ?? (/^\w+$/.test(braces) ? "*" : undefined)));
    if (operator === undefined) throw invalid(where, `the path template "${template}" is not valid at "${whole}"`);
    if (seenRest) throw invalid(where, `the path template "${template}" has more after **`);
    seenRest = operator === "**";
    inSegment += 1;
    severalInSegment ||= inSegment > 1;
    pieces.push(seenRest ? ".*" : "[^/]+");
  }
  // Use an expression with linear time: several wildcards in one segment can match it in many ways, and JavaScript's
  // regular expressions would try all of them on a long path.
  if (severalInSegment) {
    const linear = compileRegex(`(?s)${pieces.join("")}`, where);
    return (path) => linear.matchesWhole(path);
  }
  const pattern = new RegExp(`^${pieces.join("")}$`, "s");
  return (path) => pattern.test(path);
}
