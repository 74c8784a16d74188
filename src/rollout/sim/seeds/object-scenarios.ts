import { seededRandom } from "../../../base/index.ts";
import { makesRoutes } from "../canary-shape.ts";
import { additions, calmFromTick, type Disturbance, type Scenario } from "../scenario.ts";
import { endedScenarioOf } from "./cluster-scenarios.ts";
import { pick } from "./pick.ts";

const extendSalt = 0xe8_7e;
const routeSalt = 0x10_5e;
const journalSalt = 0x70_a1;
const brokenSalt = 0x6b_0e;

/**
 * Adds to {@link lostScenarioOf}: in a quarter of the seeds somebody removes an entry of a journal, and in a third of
 * the upgrades a workload was broken before the upgrade.
 */
export function editedScenarioOf(seed: number): Scenario {
  const scenario = lostScenarioOf(seed);
  const random = seededRandom(seed ^ brokenSalt);
  const edits: Disturbance[] =
    random() < 0.25
      ? [
          {
            type: "editJournal",
            atTick: 5 + pick(random, calmFromTick - 10),
            rollout: pick(random, scenario.rollouts.length),
          },
        ]
      : [];
  return {
    ...scenario,
    disturbances: [...scenario.disturbances, ...edits],
    rollouts: scenario.rollouts.map((rollout) =>
      rollout.mesh === undefined || random() > 0.35 ? rollout : { ...rollout, mesh: { ...rollout.mesh, broken: true } },
    ),
  };
}

/**
 * Adds to {@link routeScenarioOf}: in a third of the seeds somebody deletes a journal. No journal is deleted if a
 * rollout is removed by force, or if an older release writes its status: then no status would say that the journal is
 * lost.
 */
export function lostScenarioOf(seed: number): Scenario {
  const scenario = routeScenarioOf(seed);
  const random = seededRandom(seed ^ journalSalt);
  const isKnown = scenario.disturbances.every(({ type }) => type !== "recreate" && type !== "otherRelease");
  if (!isKnown || random() > 0.35) return scenario;
  const rollout = pick(random, scenario.rollouts.length);
  const lost = Array.from({ length: 1 + pick(random, 2) }, (): Disturbance => ({
    type: "loseJournal",
    atTick: 5 + pick(random, calmFromTick - 10),
    rollout,
    isRestarted: random() < 0.6,
  }));
  return { ...scenario, disturbances: [...scenario.disturbances, ...lost] };
}

/** Adds to {@link extendedScenarioOf}: people who delete objects that Canaries have made. */
export function routeScenarioOf(seed: number): Scenario {
  const scenario = extendedScenarioOf(seed);
  const random = seededRandom(seed ^ routeSalt);
  const lost = scenario.rollouts.flatMap(({ canary }, rollout): Disturbance[] => {
    if (canary === undefined || !makesRoutes(canary) || random() > 0.2) return [];
    return [{ type: "loseRoute", atTick: 10 + pick(random, calmFromTick), rollout }];
  });
  return lost.length === 0 ? scenario : { ...scenario, disturbances: [...scenario.disturbances, ...lost] };
}

/** Adds to {@link endedScenarioOf}: people who extend the routes of Canaries. */
export function extendedScenarioOf(seed: number): Scenario {
  const scenario = endedScenarioOf(seed);
  const random = seededRandom(seed ^ extendSalt);
  const { disturbances } = scenario;
  const extended = scenario.rollouts.flatMap(({ kind }, rollout): Disturbance[] => {
    if (kind !== "Canary" || random() > 0.4) return [];
    const atTick = 1 + pick(random, 80);
    const added = additions[pick(random, additions.length)] ?? "field";
    // A Canary names its rule by position, and its status says which rule that is. A new Canary of the same name has no
    // such status, and an older release does not write it. In both cases, a rule inserted at the beginning would change
    // which rule the position means, so it is inserted at the end.
    const forgetsPosition = disturbances.some((fault) =>
      fault.type === "otherRelease"
        ? fault.isOlder
        : fault.type === "recreate" && "rollout" in fault && fault.rollout === rollout,
    );
    const what = added === "rule at the beginning" && forgetsPosition ? "rule at the end" : added;
    return [
      { type: "extend", atTick, untilTick: atTick + 1 + pick(random, 60), rollout, what, isRemoved: random() < 0.4 },
    ];
  });
  return { ...scenario, disturbances: [...disturbances, ...extended] };
}
