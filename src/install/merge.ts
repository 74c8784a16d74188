import { mergeTrees as mergeByRules, type MergeRules } from "../base/index.ts";

/** How IstioOperators are merged: null removes a default, and lists are merged by the names of their elements. */
const rules: MergeRules = { nulls: "remove", lists: "byName" };

/** Merges `over` onto `base` by the rules for IstioOperators. */
export function mergeTrees(base: unknown, over: unknown): unknown {
  return mergeByRules(base, over, rules);
}
