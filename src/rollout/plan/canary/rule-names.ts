import { firstNames, type Tree } from "../../../base/index.ts";

/** How many names of rules a message lists. A VirtualService may have thousands of routes. */
const namesShown = 5;

/** The names of the rules, for a message. Undefined if no rule has a name. */
export function ruleNames(list: readonly Tree[]): string | undefined {
  const names = list.flatMap(({ name }) => (typeof name === "string" ? [`"${name}"`] : []));
  return names.length === 0 ? undefined : firstNames(names, namesShown);
}
