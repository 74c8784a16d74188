import { parseCanary } from "../../api/serin/index.ts";
import { referenceKey, type MovedRule } from "../decide/index.ts";
import { movedRoutes } from "../plan/index.ts";
import { isMeshUpgrade, type Rollout } from "./rollout-object.ts";

const known = new WeakMap<object, readonly MovedRule[]>();

/** The users' routes that a Canary moves, and which of their rules. None if the parser refuses the spec. */
export function movedRules(rollout: Rollout): readonly MovedRule[] {
  if (isMeshUpgrade(rollout)) return [];
  const { spec } = rollout as { readonly spec?: object };
  const before = spec === undefined ? [] : known.get(spec);
  if (before !== undefined) return before;
  const { value } = parseCanary(rollout);
  if (value === undefined) return [];
  const { steps, sessionAffinity } = value.spec;
  const addsRules = sessionAffinity !== undefined || steps.some(({ match }) => match !== undefined);
  const rules = movedRoutes(value).map(({ object, pointer, rule }) => ({
    list: `${referenceKey(object)} ${pointer}`,
    ...(rule === undefined ? {} : { rule }),
    addsRules,
  }));
  if (spec !== undefined) known.set(spec, rules);
  return rules;
}
