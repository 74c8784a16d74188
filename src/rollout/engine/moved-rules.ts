import { isTree } from "../../base/index.ts";
import { targetOfSpec, type CanaryTarget, type JournalEntry, type RolloutStatus } from "../../api/serin/index.ts";
import type { StoredJournal } from "../act/journal-store.ts";
import { fieldKey, type Contender, type MovedRule } from "../decide/index.ts";
import { meantIdentity, movedRoutes, ownRecord, targetError } from "../plan/index.ts";
import { isMeshUpgrade, rolloutKey, type Rollout } from "./rollout-object.ts";

const targets = new WeakMap<object, CanaryTarget | undefined>();

/** The target in a spec. Every round of every rollout needs it, so it is parsed only once for each spec object. */
function targetOnce(spec: object): CanaryTarget | undefined {
  if (!targets.has(spec)) targets.set(spec, targetOfSpec(spec));
  return targets.get(spec);
}

/**
 * The users' routes that a Canary moves, with the rules that it moves in them. The Canary may be stored or parsed.
 * Empty if the parser refuses its target.
 */
export function movedRules(
  rollout: Rollout,
  { meantRule }: Pick<RolloutStatus, "meantRule"> = {},
): readonly MovedRule[] {
  if (isMeshUpgrade(rollout)) return [];
  const { metadata } = rollout;
  const spec: unknown = rollout.spec;
  const target = isTree(spec) ? targetOnce(spec) : undefined;
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

/**
 * The other rollouts under way that move a list in which this rollout names a rule by its position, as long as the
 * status does not say which rule that is. They may have added rules that they will remove again, so the engine ignores
 * these rules when it counts positions.
 */
export function moversOfPosition(
  rollout: Rollout,
  status: Pick<RolloutStatus, "meantRule">,
  all: readonly Contender[],
): readonly Contender[] {
  const lists = new Set(
    movedRules(rollout, status).flatMap(({ list, rule, identity }) =>
      typeof rule === "number" && identity === undefined ? [list] : [],
    ),
  );
  if (lists.size === 0) return [];
  const key = rolloutKey(rollout);
  return all.filter(
    (other) => other.key !== key && other.underWay && other.routes?.some(({ list }) => lists.has(list)) === true,
  );
}

/**
 * The journal entries of another rollout that moves the same list. They show the rules that it has added. Throws a user
 * error if its journal is lost: without it, the added rules would shift positions, and a position could mean another
 * rule than the one that the user meant.
 */
export function entriesOfMover(
  { key, journal }: Pick<Contender, "key" | "journal">,
  { entries, missing }: Pick<StoredJournal, "entries" | "missing">,
): readonly JournalEntry[] {
  if (journal !== "lost" && (journal === undefined || missing !== true)) return entries;
  throw targetError(
    "target-unclear",
    `spec.target names a rule by its position, and the journal of ${key} is gone, which shows the rules that it has added to the same list`,
    `write the rule's name, or wait: ${key} is Stuck until a person acts`,
  );
}

function addsRules(spec: unknown): boolean {
  const { sessionAffinity, steps } = isTree(spec) ? spec : {};
  return (
    isTree(sessionAffinity) || (Array.isArray(steps) && steps.some((step) => isTree(step) && isTree(step["match"])))
  );
}
