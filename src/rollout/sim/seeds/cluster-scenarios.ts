import { seededRandom, type Random } from "../../../base/index.ts";
import {
  calmFromTick,
  lastingFaults,
  namespaces,
  type Disturbance,
  type EditedMesh,
  type Scenario,
  type SimRollout,
} from "../scenario.ts";
import { meshOf } from "../sim-mesh.ts";
import { revertedScenarioOf } from "./app-scenarios.ts";
import { pick } from "./pick.ts";

const serverSalt = 0x5e_f0;
const othersSalt = 0x07_4e;
const namespaceSalt = 0x4a_3e;

/**
 * Adds to {@link othersScenarioOf}: the end of a namespace in a tenth of the seeds, and scaled gateways and budgets in
 * the others.
 */
export function endedScenarioOf(seed: number): Scenario {
  const scenario = othersScenarioOf(seed);
  const random = seededRandom(seed ^ namespaceSalt);
  if (random() < 0.9)
    return withBudget({ ...scenario, disturbances: [...scenario.disturbances, ...scaled(random, scenario)] }, random);
  const namespace = namespaces[pick(random, namespaces.length)] ?? "a";
  const ends: Disturbance = { type: "endNamespace", atTick: 1 + pick(random, calmFromTick - 60), namespace };
  return { ...scenario, disturbances: [...scenario.disturbances, ends] };
}

/** The scenario. A lasting fault sometimes becomes a budget that never allows a restart. */
function withBudget(scenario: Scenario, random: Random): Scenario {
  const { lasting } = scenario;
  return lasting === undefined || random() > 0.15
    ? scenario
    : { ...scenario, lasting: { ...lasting, type: "noBudget" } };
}

/** In a third of the upgrades, somebody scales a gateway. In some others, a budget allows no restart for a while. */
function scaled(random: Random, { rollouts }: Scenario): Disturbance[] {
  return rollouts.flatMap(({ kind }, rollout): Disturbance[] => {
    if (kind !== "MeshUpgrade") return [];
    const way = random();
    if (way > 0.5) return [];
    const atTick = 20 + pick(random, 100);
    if (way < 0.35) return [{ type: "scaleGateway", atTick, untilTick: atTick + 1 + pick(random, 60), rollout }];
    return [{ type: "noBudget", atTick: 1, untilTick: calmFromTick - pick(random, 150), rollout }];
  });
}

/**
 * Adds to {@link faultyServerScenarioOf} in a third of the seeds: a rewriting webhook, a lost workload or an edited
 * upgrade.
 */
export function othersScenarioOf(seed: number): Scenario {
  const scenario = faultyServerScenarioOf(seed);
  const random = seededRandom(seed ^ othersSalt);
  if (random() < 0.65) return scenario;
  const disturbance = disturbanceOfOthers(random, scenario.rollouts);
  const { lasting } = scenario;
  const isRewritten = lasting !== undefined && random() < 0.3;
  return {
    ...scenario,
    disturbances: [...scenario.disturbances, disturbance],
    ...(isRewritten ? { lasting: { ...lasting, type: "rewrite" } } : {}),
  };
}

/** Adds to {@link revertedScenarioOf} in half of the seeds: faults of the API server. */
export function faultyServerScenarioOf(seed: number): Scenario {
  const scenario = revertedScenarioOf(seed);
  const random = seededRandom(seed ^ serverSalt);
  if (random() < 0.5) return scenario;
  const faults = Array.from({ length: 1 + pick(random, 2) }, () => serverFaultOf(random, scenario.rollouts));
  const { lasting } = scenario;
  const type = lastingFaults[pick(random, lastingFaults.length)] ?? "refuse";
  return {
    ...scenario,
    disturbances: [...scenario.disturbances, ...faults],
    ...(lasting !== undefined && random() < 0.5 ? { lasting: { ...lasting, type } } : {}),
  };
}

/** A fault of the API server. It often lasts so long that the engine must report it. */
function serverFaultOf(random: Random, rollouts: readonly SimRollout[]): Disturbance {
  const atTick = 1 + pick(random, 100);
  const untilTick = random() < 0.5 ? calmFromTick - 1 : atTick + 1 + pick(random, 98);
  const rollout = pick(random, rollouts.length);
  const types = ["unread", "journalFull", "refuse"] as const;
  const type = types[pick(random, types.length)] ?? "unread";
  if (type !== "unread") return { type, atTick, untilTick, rollout };
  return { type, atTick, untilTick, rollout, what: random() < 0.7 ? "target" : "journal" };
}

function editedMesh(random: Random): EditedMesh {
  const { weights, ztunnelBy, retire } = meshOf(pick(random, 2 ** 30));
  return { weights, ztunnelBy, retire };
}

function disturbanceOfOthers(random: Random, rollouts: readonly SimRollout[]): Disturbance {
  const atTick = 1 + pick(random, calmFromTick - 60);
  const untilTick = Math.min(calmFromTick - 1, atTick + 1 + pick(random, 120));
  const rollout = pick(random, rollouts.length);
  if (rollouts[rollout]?.kind !== "MeshUpgrade") return { type: "rewrite", atTick, untilTick, rollout };
  if (random() < 0.5) return { type: "loseMade", atTick, untilTick, rollout };
  // The edit must come early, because upgrades of the simulation are soon over.
  return { type: "editUpgrade", atTick: 1 + pick(random, 90), rollout, edited: editedMesh(random) };
}
