import type { Reader } from "../../reader.ts";
import { regexFault } from "../expressions/regular-expressions.ts";
import { warnOfUnknown } from "../fields.ts";

/**
 * `proxyStatsMatcher` of a proxy config: the statistics that Envoy keeps in addition to the required ones. Entries are
 * compared with whole names, such as `cluster.<name>.upstream_rq_total`.
 */
export interface StatsMatcher {
  readonly inclusionPrefixes: readonly string[];
  readonly inclusionSuffixes: readonly string[];
  readonly inclusionRegexps: readonly string[];
}

/** Why proxies ignore a regular expression for statistics, which then includes nothing. Undefined if they accept it. */
export function inclusionFault(expression: string): string | undefined {
  const fault = regexFault(expression);
  return fault === undefined ? undefined : `${fault}; it includes nothing`;
}

export function readStatsMatcher(reader: Reader | undefined): StatsMatcher | undefined {
  if (reader === undefined) return undefined;
  const matcher = {
    inclusionPrefixes: reader.strings("inclusionPrefixes"),
    inclusionSuffixes: reader.strings("inclusionSuffixes"),
    inclusionRegexps: reader.strings("inclusionRegexps"),
  };
  for (const field of ["inclusionPrefixes", "inclusionSuffixes"] as const)
    for (const [index, text] of matcher[field].entries())
      if (text === "") reader.warnNoEffect("is empty and has no effect", `${field}[${index}]`);
  for (const [index, expression] of matcher.inclusionRegexps.entries()) {
    const fault = inclusionFault(expression);
    if (fault !== undefined) reader.warnNoEffect(fault, `inclusionRegexps[${index}]`);
  }
  warnOfUnknown(reader);
  return matcher;
}
