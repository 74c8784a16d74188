import { seededRandom } from "../../../base/index.ts";
import { calmFromTick, type Disturbance, type Scenario, type SimRollout } from "../scenario.ts";
import { editedScenarioOf } from "./object-scenarios.ts";
import { pick } from "./pick.ts";

const replaceSalt = 0x4e_9c;

/** Adds to {@link editedScenarioOf}: people who replace a rollout, or scale or replace the Deployment of a Canary. */
export function replacedScenarioOf(seed: number): Scenario {
  const scenario = editedScenarioOf(seed);
  const random = seededRandom(seed ^ replaceSalt);
  const at = (): number => 1 + pick(random, calmFromTick - 60);
  // Such an upgrade is not replaced. Its operator may still have to remove what the deleted upgrade has disabled, and
  // the new upgrade would seem to have removed it.
  const isLeft = ({ mesh, onDeletion }: SimRollout): boolean => mesh?.operator !== undefined && onDeletion === "Leave";
  const replaced = new Set(
    scenario.rollouts.flatMap((rollout, index) => (random() < 0.15 && !isLeft(rollout) ? [index] : [])),
  );
  const rollouts = scenario.rollouts.map((rollout) => {
    const isScaled = rollout.watched && rollout.canary?.autoscaled === false && random() < 0.3;
    return isScaled ? { ...rollout, scaledByPerson: true } : rollout;
  });
  const more = rollouts.flatMap(({ watched, scaledByPerson }, rollout): Disturbance[] => {
    const [atTick, scaledAt] = [at(), at()];
    return [
      ...(replaced.has(rollout) ? [{ type: "replace", atTick: at(), rollout } as const] : []),
      ...(watched && random() < 0.2 ? [{ type: "remakeApp", atTick, rollout } as const] : []),
      ...(scaledByPerson === true
        ? [{ type: "scaleApp", atTick: scaledAt, untilTick: scaledAt + 1 + pick(random, 58), rollout } as const]
        : []),
    ];
  });
  // The position in a new Canary means the rule that has the position when the Canary is created, so no rule is
  // inserted before it.
  const disturbances = scenario.disturbances.map((fault) =>
    fault.type === "extend" && fault.what === "rule at the beginning" && replaced.has(fault.rollout)
      ? { ...fault, what: "rule at the end" as const }
      : fault,
  );
  return { ...scenario, rollouts, disturbances: [...disturbances, ...more] };
}
