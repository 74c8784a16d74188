import { happens } from "./allowed-cause.ts";
import { routeKey } from "../routing-kinds.ts";
import type { Scenario } from "../scenario.ts";
import { withoutWeights, type Snapshot } from "./snapshot.ts";

export interface Meanwhile {
  readonly scenario: Scenario;
  /** The keys of objects that somebody has made again during an undo. */
  readonly madeInUndo: ReadonlySet<string>;
  /** The keys of objects that a Canary has made for its routes, and somebody has deleted. */
  readonly lostMade: ReadonlySet<string>;
  readonly ended: readonly string[];
  /** The keys of objects that keep the rollout's changes, because of what people have done or agreed to. */
  readonly unrestored: ReadonlySet<string>;
}

/**
 * The present and the former snapshot without what may differ between them: a route that somebody has deleted
 * meanwhile, weights if a webhook changes them, objects that keep the rollout's changes because a journal is lost,
 * objects that somebody made again during an undo, and objects and subsets that a Canary has made and somebody has
 * deleted.
 */
export function comparable(
  [current, former]: readonly [Snapshot, Snapshot],
  { scenario, madeInUndo, lostMade, ended, unrestored }: Meanwhile,
): readonly [Snapshot, Snapshot] {
  const kept = only(current, (key) => key in former || !madeInUndo.has(key));
  const isOfEnded = (key: string): boolean =>
    ended.some((name) => key.includes(`/${name}/`) || key.endsWith(`Namespace//${name}`));
  const [now, before] = [kept, former].map((snapshot) =>
    only(snapshot, (key) => !lostMade.has(key) && !unrestored.has(key) && !isOfEnded(key)),
  );
  const hasDropped = happens(scenario, "dropSubset");
  const pair = [now ?? {}, before ?? {}].map((snapshot) =>
    hasDropped ? only(snapshot, (key) => !key.includes("/DestinationRule/")) : snapshot,
  ) as [Snapshot, Snapshot];
  const [left, right] = happens(scenario, "rewrite") ? [withoutWeights(pair[0]), withoutWeights(pair[1])] : pair;
  if (scenario.disturbances.every(({ type }) => type !== "vanish")) return [left, right];
  return [
    only(left, (key) => key in right || !routeKey.test(key)),
    only(right, (key) => key in left || !routeKey.test(key)),
  ];
}

function only(snapshot: Snapshot, isKept: (key: string) => boolean): Snapshot {
  return Object.fromEntries(Object.entries(snapshot).filter(([key]) => isKept(key)));
}
