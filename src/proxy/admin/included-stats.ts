import { messageOf } from "../../base/index.ts";
import { compileNameRegex } from "../config/matchers/regex.ts";
import type { StatsInclusion } from "../stats-inclusion.ts";

/**
 * Matches `.*text.*`, the form of most inclusion expressions. A plain search for the text is much faster than the
 * expression.
 */
const containing = /^\.\*((?:[\w:;-]|\\[.|])+)\.\*$/;

type Matches = (name: string) => boolean;

/** Decides which of Envoy's statistics the proxy has, by expressions that match their names. */
export class IncludedStats {
  /** What is wrong with the expressions that are not valid. Such an expression includes no statistic. */
  readonly faults: readonly string[];
  readonly #prefixes: readonly string[];
  readonly #suffixes: readonly string[];
  readonly #expressions: readonly Matches[];

  constructor({ prefixes, suffixes, regexps, regexpsFrom }: StatsInclusion) {
    this.#prefixes = prefixes;
    this.#suffixes = suffixes;
    const faults: string[] = [];
    this.#expressions = regexps.flatMap((expression) => {
      try {
        return [matcherOf(expression, regexpsFrom)];
      } catch (error) {
        faults.push(messageOf(error));
        return [];
      }
    });
    this.faults = faults;
  }

  includes(name: string): boolean {
    return (
      this.#prefixes.some((prefix) => name.startsWith(prefix)) ||
      this.#suffixes.some((suffix) => name.endsWith(suffix)) ||
      this.#expressions.some((matches) => matches(name))
    );
  }

  /** Returns the statistics that the proxy includes. `scope` is the prefix of their full names. */
  of<Stat extends { readonly stat: string }>(scope: string, stats: readonly Stat[]): readonly Stat[] {
    if (this.#prefixes.some((prefix) => scope.startsWith(prefix))) return stats;
    return stats.filter(({ stat }) => this.includes(`${scope}${stat}`));
  }
}

function matcherOf(expression: string, where: string): Matches {
  const text = containing.exec(expression)?.[1]?.replaceAll("\\", "");
  if (text !== undefined) return (name) => name.includes(text);
  const compiled = compileNameRegex(expression, where);
  return (name) => compiled.matchesWhole(name);
}
