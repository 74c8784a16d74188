import { seededRandom, type Random } from "../../../base/index.ts";
import {
  calmFromTick,
  lastingDisturbances,
  minSamples,
  type Disturbance,
  type Scenario,
  type SimRollout,
  type SimStep,
} from "../scenario.ts";
import { pick } from "./pick.ts";
import { plainScenarioOf } from "./plain-scenario.ts";

const moreSalt = 0x30_6e;
const latestSalt = 0x1a_7e;
const resumeSalt = 0x2e_5a;
const podsSalt = 0x90_d5;
const templateSalt = 0x7e_3f;
const revertSalt = 0x4b_ac;

/** Adds to {@link changedScenarioOf}: templates that are withdrawn for a while. */
export function revertedScenarioOf(seed: number): Scenario {
  const scenario = changedScenarioOf(seed);
  const random = seededRandom(seed ^ revertSalt);
  const reverted = scenario.rollouts.flatMap(({ watched }, rollout): Disturbance[] => {
    if (!watched || random() < 0.4) return [];
    const atTick = 1 + pick(random, calmFromTick - 40);
    return [{ type: "revertApp", atTick, untilTick: atTick + 5 + pick(random, 60), rollout }];
  });
  return { ...scenario, disturbances: [...scenario.disturbances, ...reverted] };
}

/** Adds to {@link lostPodsScenarioOf}: changes of a Deployment, before and during a run. */
export function changedScenarioOf(seed: number): Scenario {
  const scenario = lostPodsScenarioOf(seed);
  const random = seededRandom(seed ^ templateSalt);
  const steps = ["copy", "step-1", "promote-roll", "promote-stable", "promote-end"] as const;
  const changes: Disturbance[] = [];
  const rollouts = scenario.rollouts.map((settings, rollout) => {
    if (!settings.watched || random() < 0.4) return settings;
    // Begins a run, in which the second change follows.
    changes.push({ type: "change", atTick: 1 + pick(random, 80), rollout, template: "v5" });
    const changedInStep = steps[pick(random, steps.length)];
    return changedInStep === undefined ? settings : { ...settings, changedInStep };
  });
  return { ...scenario, rollouts, disturbances: [...scenario.disturbances, ...changes] };
}

/** Adds to {@link resumedScenarioOf}: canaries that lose their pods. */
export function lostPodsScenarioOf(seed: number): Scenario {
  const scenario = resumedScenarioOf(seed);
  const random = seededRandom(seed ^ podsSalt);
  const lost = scenario.rollouts.flatMap(({ kind }, rollout): Disturbance[] => {
    if (kind !== "Canary" || random() > 0.25) return [];
    const atTick = 1 + pick(random, calmFromTick - 20);
    return [
      { type: "losePods", atTick, untilTick: Math.min(calmFromTick - 1, atTick + 1 + pick(random, 100)), rollout },
    ];
  });
  const { lasting } = scenario;
  return {
    ...scenario,
    disturbances: [...scenario.disturbances, ...lost],
    ...(lasting !== undefined && random() < 0.2 ? { lasting: { ...lasting, type: "losePods" } } : {}),
  };
}

/** Adds to {@link laterScenarioOf}: people who resume a held Deployment. */
export function resumedScenarioOf(seed: number): Scenario {
  const scenario = laterScenarioOf(seed);
  const random = seededRandom(seed ^ resumeSalt);
  const resumed = scenario.rollouts.flatMap(({ watched }, rollout): Disturbance[] =>
    watched && random() < 0.5 ? [{ type: "resumeApp", atTick: 1 + pick(random, calmFromTick + 20), rollout }] : [],
  );
  return resumed.length === 0 ? scenario : { ...scenario, disturbances: [...scenario.disturbances, ...resumed] };
}

/**
 * Adds to {@link earlierScenarioOf} in half of the seeds: routes that vanish, edited checks, moved freezes, and other
 * releases.
 */
export function laterScenarioOf(seed: number): Scenario {
  const scenario = earlierScenarioOf(seed);
  const random = seededRandom(seed ^ latestSalt);
  if (random() < 0.5) return scenario;
  const latest = Array.from({ length: 1 + pick(random, 3) }, () => latestDisturbanceOf(random, scenario.rollouts));
  return { ...scenario, disturbances: [...scenario.disturbances, ...latest] };
}

/**
 * Adds to {@link plainScenarioOf} in half of the seeds: resumed, edited and refused rollouts, recreated objects,
 * refused pods, a GitOps controller, and no engine.
 */
export function earlierScenarioOf(seed: number): Scenario {
  const scenario = plainScenarioOf(seed);
  const random = seededRandom(seed ^ moreSalt);
  if (random() < 0.5) return scenario;
  const more = Array.from({ length: 1 + pick(random, 3) }, () => furtherDisturbanceOf(random, scenario.rollouts));
  const { lasting } = scenario;
  const type = lastingDisturbances[pick(random, lastingDisturbances.length)] ?? "selfHeal";
  return {
    ...scenario,
    disturbances: [...scenario.disturbances, ...more],
    ...(lasting !== undefined && random() < 0.5 ? { lasting: { ...lasting, type } } : {}),
  };
}

function furtherDisturbanceOf(random: Random, rollouts: readonly SimRollout[]): Disturbance {
  const atTick = 1 + pick(random, calmFromTick - 60);
  const untilTick = Math.min(calmFromTick - 1, atTick + 1 + pick(random, 120));
  const rollout = pick(random, rollouts.length);
  const types = ["resume", "remake", "edit", "selfHeal", "noPods", "badSpec", "noRights", "noEngine"] as const;
  const type = types[pick(random, types.length)] ?? "resume";
  switch (type) {
    case "resume":
    case "remake":
      return { type, atTick, rollout };
    case "edit":
      return { type, atTick, rollout, steps: editedSteps(random, rollouts[rollout]?.steps ?? []) };
    case "noEngine":
      return { type, atTick, untilTick };
    default:
      return { type, atTick, untilTick, rollout };
  }
}

function latestDisturbanceOf(random: Random, rollouts: readonly SimRollout[]): Disturbance {
  const atTick = 1 + pick(random, calmFromTick - 60);
  const untilTick = Math.min(calmFromTick - 1, atTick + 1 + pick(random, 60));
  const rollout = pick(random, rollouts.length);
  const types = ["vanish", "editChecks", "freezeMoves", "otherRelease"] as const;
  const type = types[pick(random, types.length)] ?? "vanish";
  switch (type) {
    case "vanish":
      return { type, atTick, untilTick, rollout };
    case "editChecks":
      return { type, atTick, rollout, minSamples: minSamples + pick(random, 100) };
    case "freezeMoves":
      return { type, atTick, untilTick };
    case "otherRelease":
      return { type, atTick, isOlder: random() < 0.7 };
  }
}

/** The steps without one of them, with halved weights, or with an additional one. */
function editedSteps(random: Random, steps: readonly SimStep[]): readonly SimStep[] {
  const way = random();
  if (way < 0.3 && steps.length > 1) return steps.toSpliced(pick(random, steps.length), 1);
  if (way < 0.6)
    return steps.map((step) => (step.weight === undefined ? step : { ...step, weight: Math.ceil(step.weight / 2) }));
  return [{ weight: 1 + pick(random, 5), ...(random() < 0.3 ? { untilApproved: true } : {}) }, ...steps];
}
