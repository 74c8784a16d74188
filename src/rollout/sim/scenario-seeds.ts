import { seededRandom, type Random } from "../../base/index.ts";
import { canaryOf, makesRoutes, type SimCanary } from "./canary-shape.ts";
import {
  additions,
  calmFromTick,
  lastingDisturbances,
  lastingFaults,
  minSamples,
  namespaces,
  type Disturbance,
  type EditedMesh,
  type Lasting,
  type Scenario,
  type SimRollout,
  type SimStep,
} from "./scenario.ts";
import { meshOf } from "./sim-mesh.ts";

const refusalSalt = 0x4e_f5;
const moreSalt = 0x30_6e;
const latestSalt = 0x1a_7e;
const resumeSalt = 0x2e_5a;
const podsSalt = 0x90_d5;

const templateSalt = 0x7e_3f;
const revertSalt = 0x4b_ac;
const serverSalt = 0x5e_f0;
const othersSalt = 0x07_4e;
const namespaceSalt = 0x4a_3e;
const extendSalt = 0xe8_7e;
const routeSalt = 0x10_5e;
const journalSalt = 0x70_a1;
const brokenSalt = 0x6b_0e;
const replaceSalt = 0x4e_9c;

/**
 * Generates the scenario of a seed: {@link editedScenarioOf}. People may also replace a rollout, and scale or replace
 * the Deployment of a Canary.
 */
export function scenarioOf(seed: number): Scenario {
  const scenario = editedScenarioOf(seed);
  const random = seededRandom(seed ^ replaceSalt);
  const at = (): number => 1 + pick(random, calmFromTick - 60);
  // An operator may still remove what a deleted upgrade has left to it, and the new one would seem to have done that.
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
  // A new Canary counts the rules again.
  const disturbances = scenario.disturbances.map((fault) =>
    fault.type === "extend" && fault.what === "rule at the beginning" && replaced.has(fault.rollout)
      ? { ...fault, what: "rule at the end" as const }
      : fault,
  );
  return { ...scenario, rollouts, disturbances: [...disturbances, ...more] };
}

/**
 * The scenario of {@link lostScenarioOf}. In a quarter of the seeds somebody removes an entry of a journal, and in a
 * third of the upgrades a workload was broken before.
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
 * The scenario of {@link routeScenarioOf}, and in a third of the seeds somebody deletes a journal. Nobody deletes one
 * if a rollout is removed by force, or if an older release writes its status, because then no status says that the
 * journal is lost.
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

/** The scenario of {@link extendedScenarioOf}, and somebody may delete what Canaries have made. */
export function routeScenarioOf(seed: number): Scenario {
  const scenario = extendedScenarioOf(seed);
  const random = seededRandom(seed ^ routeSalt);
  const lost = scenario.rollouts.flatMap(({ canary }, rollout): Disturbance[] => {
    if (canary === undefined || !makesRoutes(canary) || random() > 0.2) return [];
    return [{ type: "loseRoute", atTick: 10 + pick(random, calmFromTick), rollout }];
  });
  return lost.length === 0 ? scenario : { ...scenario, disturbances: [...scenario.disturbances, ...lost] };
}

/** The scenario of {@link endedScenarioOf}, in which people may extend the routes of Canaries. */
export function extendedScenarioOf(seed: number): Scenario {
  const scenario = endedScenarioOf(seed);
  const random = seededRandom(seed ^ extendSalt);
  const { disturbances } = scenario;
  const extended = scenario.rollouts.flatMap(({ kind }, rollout): Disturbance[] => {
    if (kind !== "Canary" || random() > 0.4) return [];
    const atTick = 1 + pick(random, 80);
    const added = additions[pick(random, additions.length)] ?? "field";
    // A Canary names its rule by position, and its status says which rule that was. A new Canary of the same name has
    // no such status, and an older release does not write it. Then a rule at the beginning would change the position.
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

/** The scenario of {@link othersScenarioOf}, and in a tenth of the seeds the end of a namespace. */
export function endedScenarioOf(seed: number): Scenario {
  const scenario = othersScenarioOf(seed);
  const random = seededRandom(seed ^ namespaceSalt);
  if (random() < 0.9)
    return withBudget({ ...scenario, disturbances: [...scenario.disturbances, ...scaled(random, scenario)] }, random);
  const namespace = namespaces[pick(random, namespaces.length)] ?? "a";
  const ends: Disturbance = { type: "endNamespace", atTick: 1 + pick(random, calmFromTick - 60), namespace };
  return { ...scenario, disturbances: [...scenario.disturbances, ends] };
}

/** The scenario. Its lasting fault may become a budget that never allows a restart. */
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

/** The scenario of {@link faultyServerScenarioOf}, and in a third of the seeds a disturbance by another writer. */
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

/** The scenario of {@link revertedScenarioOf}, and in half of the seeds faults of the API server. */
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

/** The scenario of {@link changedScenarioOf}, in which templates may be withdrawn for a while. */
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

/** The scenario of {@link lostPodsScenarioOf}, in which a person changes a Deployment in a run. */
export function changedScenarioOf(seed: number): Scenario {
  const scenario = lostPodsScenarioOf(seed);
  const random = seededRandom(seed ^ templateSalt);
  const steps = ["copy", "step-1", "promote-roll", "promote-stable", "promote-end"] as const;
  const changes: Disturbance[] = [];
  const rollouts = scenario.rollouts.map((settings, rollout) => {
    if (!settings.watched || random() < 0.4) return settings;
    // Without a first change there is no run.
    changes.push({ type: "change", atTick: 1 + pick(random, 80), rollout, template: "v5" });
    const changedInStep = steps[pick(random, steps.length)];
    return changedInStep === undefined ? settings : { ...settings, changedInStep };
  });
  return { ...scenario, rollouts, disturbances: [...scenario.disturbances, ...changes] };
}

/** The scenario of {@link resumedScenarioOf}, in which canaries may lose their pods. */
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

/** The scenario of {@link laterScenarioOf}, in which a person may resume a held Deployment. */
export function resumedScenarioOf(seed: number): Scenario {
  const scenario = laterScenarioOf(seed);
  const random = seededRandom(seed ^ resumeSalt);
  const resumed = scenario.rollouts.flatMap(({ watched }, rollout): Disturbance[] =>
    watched && random() < 0.5 ? [{ type: "resumeApp", atTick: 1 + pick(random, calmFromTick + 20), rollout }] : [],
  );
  return resumed.length === 0 ? scenario : { ...scenario, disturbances: [...scenario.disturbances, ...resumed] };
}

/** The scenario of {@link earlierScenarioOf}, and in half of the seeds more disturbances. */
export function laterScenarioOf(seed: number): Scenario {
  const scenario = earlierScenarioOf(seed);
  const random = seededRandom(seed ^ latestSalt);
  if (random() < 0.5) return scenario;
  const latest = Array.from({ length: 1 + pick(random, 3) }, () => latestDisturbanceOf(random, scenario.rollouts));
  return { ...scenario, disturbances: [...scenario.disturbances, ...latest] };
}

/** The scenario of {@link plainScenarioOf}, and in half of the seeds more disturbances. */
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

/**
 * The scenario of a seed with the disturbances of the first version of the simulation, so that seeds that have found
 * faults keep their scenarios.
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
 * Gives each rollout what it changes. The first upgrade moves two namespaces, and the second the third, so that each
 * can be rolled back independently.
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

/** The rollout of this application. Its first step may be of another kind than the others. */
export function withCanary(rollout: SimRollout, canary: SimCanary): SimRollout {
  const { steps } = rollout;
  const { first } = canary;
  if (first === undefined) return { ...rollout, canary };
  const [weighed = {}, ...others] = steps;
  // Iterations repeat the checks, which only a step with traffic has.
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
      // The fault sometimes lasts so long that undo continues without the entry.
      return random() < 0.5
        ? { type, atTick, untilTick }
        : { type, atTick: 1 + pick(random, 40), untilTick: calmFromTick - 1 };
    default:
      return { type, atTick, untilTick };
  }
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

/** A fault of the API server, which often lasts so long that the engine must report it. */
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
  // An upgrade of the simulation has moved everything after some hundred rounds.
  return { type: "editUpgrade", atTick: 1 + pick(random, 90), rollout, edited: editedMesh(random) };
}

/** Steps without one of them, with lower weights, or with one more. */
function editedSteps(random: Random, steps: readonly SimStep[]): readonly SimStep[] {
  const way = random();
  if (way < 0.3 && steps.length > 1) return steps.toSpliced(pick(random, steps.length), 1);
  if (way < 0.6)
    return steps.map((step) => (step.weight === undefined ? step : { ...step, weight: Math.ceil(step.weight / 2) }));
  return [{ weight: 1 + pick(random, 5), ...(random() < 0.3 ? { untilApproved: true } : {}) }, ...steps];
}

function lastingOf(random: Random, rollouts: number, seed: number): Lasting {
  const types = ["silence", "unanswered", "theirs", "controlPlaneGone"] as const;
  const type = types[pick(random, types.length)] ?? "silence";
  const fault = { atTick: pick(random, calmFromTick), rollout: pick(random, rollouts) };
  // Uses a separate generator, so that earlier seeds keep their scenarios.
  return { type: seededRandom(seed ^ refusalSalt)() < 0.25 ? "refused" : type, ...fault };
}

/** While an engine is stopped, the rollout on which it works may be aborted. */
function withAborts(random: Random, disturbances: readonly Disturbance[], rollouts: number): Disturbance[] {
  return disturbances.flatMap((disturbance): Disturbance[] =>
    disturbance.type === "stopLeader" && random() < 0.5
      ? [disturbance, { type: "abort", atTick: disturbance.atTick + 1, rollout: pick(random, rollouts) }]
      : [disturbance],
  );
}

function pick(random: Random, count: number): number {
  return Math.floor(random() * count);
}
