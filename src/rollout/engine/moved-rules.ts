import { isTree } from "../../base/index.ts";
import { targetOfSpec, type RolloutStatus } from "../../api/serin/index.ts";
import { referenceKey, type MovedRule } from "../decide/index.ts";
import { meantIdentity, movedRoutes } from "../plan/index.ts";
import { isMeshUpgrade, type Rollout } from "./rollout-object.ts";

/**
 * The users' routes that a Canary moves, stored or parsed, and which of their rules. None if the parser refuses its
 * target.
 */
export function movedRules(
  rollout: Rollout,
  { meantRule }: Pick<RolloutStatus, "meantRule"> = {},
): readonly MovedRule[] {
  if (isMeshUpgrade(rollout)) return [];
  const { metadata } = rollout;
  const spec: unknown = rollout.spec;
  const target = targetOfSpec(spec);
  if (target === undefined) return [];
  const rules = addsRules(spec);
  return movedRoutes({ metadata, spec: { target } }).map(({ object, pointer, rule }) => {
    const list = `${referenceKey(object)} ${pointer}`;
    // The record may be that of the former target.
    const isOfTarget = meantRule?.route === list && meantRule.rule === rule;
    const identity = isOfTarget ? meantIdentity(meantRule) : undefined;
    return {
      list,
      ...(rule === undefined ? {} : { rule }),
      ...(identity === undefined ? {} : { identity }),
      addsRules: rules,
    };
  });
}

function addsRules(spec: unknown): boolean {
  const { sessionAffinity, steps } = isTree(spec) ? spec : {};
  return (
    isTree(sessionAffinity) || (Array.isArray(steps) && steps.some((step) => isTree(step) && isTree(step["match"])))
  );
}
