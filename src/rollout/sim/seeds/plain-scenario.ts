import { seededRandom, type Random } from "../../../base/index.ts";
import { canaryOf, type SimCanary } from "../canary-shape.ts";
import {
  calmFromTick,
  namespaces,
  type Disturbance,
  type Lasting,
  type Scenario,
  type SimRollout,
} from "../scenario.ts";
import { meshOf } from "../sim-mesh.ts";
import { pick } from "./pick.ts";

const refusalSalt = 0x4e_f5;

/**
 * The scenario of a seed without the disturbances that other files add. It must stay the same for each seed, so that
 * seeds that have found faults find them again.
 */
export function plainScenarioOf(seed: number): Scenario {
  const random = seededRandom(seed);
  const rollouts = withShapes(
    seed,
    Array.from({ length: 1 + pick(random, 4) }, (_, index) => rolloutOf(random, index)),
  );
  const groups = rollouts.filter(({ kind }) => kind === "Canary").length > 1 && random() < 0.4;
  const grouped = rollouts.map((rollout) =>
    groups && rollout.kind === "Canary" && random() < 0.8 ? { ...rollout, group: "g" } : rollout,
  );
  return {
    seed,
    rollouts: grouped,
    disturbances: withAborts(
      random,
      Array.from({ length: pick(random, 5) }, () => disturbanceOf(random, grouped)),
      grouped.length,
    ),
    maxConcurrent: 1 + pick(random, 3),
    ...(random() < 0.25 ? { lasting: lastingOf(random, grouped.length, seed) } : {}),
    crashRate: random() < 0.5 ? 0.03 * random() : 0,
    lostRate: random() < 0.5 ? 0.05 * random() : 0,
    staleRate: random() < 0.3 ? 0.1 * random() : 0,
  };
}

/**
 * Gives each rollout the objects that it changes. The first upgrade moves two namespaces and the second one the third,
 * so that each can be rolled back independently.
 */
function withShapes(seed: number, rollouts: readonly SimRollout[]): SimRollout[] {
  const moves = [["a", "b"], ["c"]];
  return rollouts.map((rollout, index) => {
    const own = seed * rollouts.length + index;
    return rollout.kind === "MeshUpgrade"
      ? { ...rollout, errorRate: 0, moves: moves.shift() ?? [], mesh: meshOf(own) }
      : withCanary(rollout, canaryOf(own, rollout.watched));
  });
}

/** The rollout with this application. Its first step may be of another kind than the others. */
export function withCanary(rollout: SimRollout, canary: SimCanary): SimRollout {
  const { steps } = rollout;
  const { first } = canary;
  if (first === undefined) return { ...rollout, canary };
  const [weighed = {}, ...others] = steps;
  // Only a step with traffic has checks, and iterations repeat checks, so the first step keeps its weight.
  const begin = first === "iterations" ? [{ ...weighed, kind: first }, ...others] : [{ kind: first }, ...steps];
  return { ...rollout, canary, steps: begin };
}

function rolloutOf(random: Random, index: number): SimRollout {
  const upgrade = random() < 0.25;
  const watched = !upgrade && random() < 0.3;
  const weights = [[100], [50, 100], [10, 50, 100]][pick(random, 3)] ?? [100];
  return {
    kind: upgrade ? "MeshUpgrade" : "Canary",
    name: `r${index}`,
    namespace: namespaces[pick(random, namespaces.length)] ?? "a",
    watched,
    errorRate: random() < 0.25 ? 0.3 : 0,
    rollback: random() < 0.85 ? "Automatic" : "Manual",
    onDeletion: random() < 0.7 ? "Rollback" : "Leave",
    steps: weights.map((weight) => ({
      weight,
      ...(random() < 0.2 ? { holdMs: 1000 + pick(random, 20_000) } : {}),
      ...(random() < 0.15 ? { untilApproved: true } : {}),
    })),
    createdAtTick: random() < 0.7 ? 0 : pick(random, 60),
    ...(random() < 0.2 ? { abortedAfterEnd: true } : {}),
  };
}

function disturbanceOf(random: Random, rollouts: readonly SimRollout[]): Disturbance {
  const atTick = 1 + pick(random, calmFromTick - 60);
  const untilTick = Math.min(calmFromTick - 1, atTick + 1 + pick(random, 60));
  const rollout = pick(random, rollouts.length);
  const types = [
    "abort",
    "delete",
    "promote",
    "recreate",
    "change",
    "pause",
    "meddle",
    "controlPlaneDown",
    "freeze",
    "apiDown",
    "stopLeader",
    "clockJump",
  ] as const;
  const type = types[pick(random, types.length)] ?? "abort";
  switch (type) {
    case "abort":
    case "delete":
    case "promote":
    case "recreate":
      return { type, atTick, rollout };
    case "change":
      return { type, atTick, rollout, template: `v${2 + pick(random, 3)}` };
    case "pause":
    case "meddle":
      return { type, atTick, untilTick, rollout };
    case "clockJump":
      return { type, atTick, byMs: (random() < 0.5 ? -1 : 1) * (1 + pick(random, 86_400_000)) };
    case "controlPlaneDown":
      // The fault sometimes lasts so long that undo passes over the entry that it blocks.
      return random() < 0.5
        ? { type, atTick, untilTick }
        : { type, atTick: 1 + pick(random, 40), untilTick: calmFromTick - 1 };
    default:
      return { type, atTick, untilTick };
  }
}

function lastingOf(random: Random, rollouts: number, seed: number): Lasting {
  const types = ["silence", "unanswered", "theirs", "controlPlaneGone"] as const;
  const type = types[pick(random, types.length)] ?? "silence";
  const fault = { atTick: pick(random, calmFromTick), rollout: pick(random, rollouts) };
  // A generator of its own, so that the numbers of earlier seeds stay the same.
  return { type: seededRandom(seed ^ refusalSalt)() < 0.25 ? "refused" : type, ...fault };
}

/** After an engine is stopped, a person may abort a rollout on which it works. */
function withAborts(random: Random, disturbances: readonly Disturbance[], rollouts: number): Disturbance[] {
  return disturbances.flatMap((disturbance): Disturbance[] =>
    disturbance.type === "stopLeader" && random() < 0.5
      ? [disturbance, { type: "abort", atTick: disturbance.atTick + 1, rollout: pick(random, rollouts) }]
      : [disturbance],
  );
}
