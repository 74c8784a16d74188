import { invariant } from "../../base/index.ts";
import { type Rollout, isMeshUpgrade, parseRollout } from "../engine/rollout-object.ts";

const parsedRollouts = new WeakMap<Rollout, Rollout>();

/** The rollout as the real parser returns it. The spec of a simulated upgrade is parsed already. */
export function parsed(raw: Rollout): Rollout {
  const known = isMeshUpgrade(raw) ? raw : parsedRollouts.get(raw);
  if (known !== undefined) return known;
  const result = parseRollout(raw);
  invariant("rollout" in result, `the spec of ${raw.metadata.name ?? ""} is wrong: ${JSON.stringify(result)}`);
  parsedRollouts.set(raw, result.rollout);
  return result.rollout;
}
