import { isTree } from "../../base/index.ts";
import { targetOfSpec, type RolloutStatus } from "../../api/serin/index.ts";
import { fieldKey, type MovedRule } from "../decide/index.ts";
import { meantIdentity, movedRoutes, ownRecord } from "../plan/index.ts";
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
  const status = meantRule === undefined ? {} : { meantRule };
  return movedRoutes({ metadata, spec: { target }, status }).map((route) => {
    const { rule } = route;
    const identity = meantIdentity(ownRecord(route));
    return {
      list: fieldKey(route),
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
