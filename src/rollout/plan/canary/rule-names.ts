import { firstNames } from "../../../base/index.ts";
import type { Fields } from "./traffic.ts";

/** How many names of rules a message lists. A VirtualService may have thousands of routes. */
const namesShown = 5;

/** The names of the rules, for a message. Undefined if none has a name. */
export function ruleNames(list: readonly Fields[]): string | undefined {
  const names = list.flatMap(({ name }) => (typeof name === "string" ? [`"${name}"`] : []));
  return names.length === 0 ? undefined : firstNames(names, namesShown);
}
