import { mergeTrees as mergeByRules, type MergeRules } from "../base/index.ts";

/** IstioOperators are laid over each other like this: null removes a default, and lists merge by name. */
const rules: MergeRules = { nulls: "remove", lists: "byName" };

/** Lays `over` on `base` as one IstioOperator is laid on another. */
export function mergeTrees(base: unknown, over: unknown): unknown {
  return mergeByRules(base, over, rules);
}
