import { seededRandom, type Random } from "../../../base/index.ts";
import { fitting, type SimCanary } from "../canary-shape.ts";
import type { Disturbance, Lasting, Scenario, SimRollout } from "../scenario.ts";
import { pick } from "./pick.ts";
import { withCanary } from "./plain-scenario.ts";
import { restoredScenarioOf } from "./restored-scenario.ts";

const shareSalt = 0x5a_4e;

/**
 * Faults that change a whole list. The model does not know which rollout's rules they change, so shared lists have no
 * such faults.
 */
const ofWholeLists: ReadonlySet<string> = new Set(["meddle", "selfHeal", "vanish", "rewrite", "theirs"]);

/**
 * Changes {@link restoredScenarioOf}: in half of the seeds with several Canaries, two of them move rules of one route.
 * Most of these pairs form a group, because otherwise Canaries of one namespace wait for each other.
 */
export function sharedScenarioOf(seed: number): Scenario {
  const scenario = restoredScenarioOf(seed);
  const random = seededRandom(seed ^ shareSalt);
  const canaries = scenario.rollouts.filter(({ canary, watched }) => canary !== undefined && !watched);
  const [host, guest] = canaries;
  if (host === undefined || guest === undefined || random() < 0.5) return scenario;
  const shared = new Map<SimRollout, SimRollout>(
    pairOf(random, host, guest).map((rollout, index) => [canaries[index] ?? rollout, rollout]),
  );
  const isShared = (rollout: number): boolean =>
    canaries.slice(0, 2).some((canary) => canary === scenario.rollouts[rollout]);
  const isKept = (fault: Disturbance | Lasting): boolean =>
    !("rollout" in fault) ||
    !isShared(fault.rollout) ||
    // The guest's additions to a shared route would look like the host's.
    !(ofWholeLists.has(fault.type) || (fault.type === "extend" && scenario.rollouts[fault.rollout] === guest));
  const { lasting, ...rest } = scenario;
  return {
    ...rest,
    rollouts: scenario.rollouts.map((rollout) => shared.get(rollout) ?? rollout),
    disturbances: scenario.disturbances.filter(isKept).map((fault) => withoutFirstRule(fault, isShared)),
    ...(lasting === undefined || !isKept(lasting) ? {} : { lasting }),
  };
}

/**
 * The fault, but with a rule at the end of a shared list instead of the beginning, where it would change which rules
 * both Canaries mean by their positions.
 */
function withoutFirstRule(fault: Disturbance, isShared: (rollout: number) => boolean): Disturbance {
  if (fault.type !== "extend" || !isShared(fault.rollout) || fault.what !== "rule at the beginning") return fault;
  return { ...fault, what: "rule at the end" };
}

function pairOf(random: Random, host: SimRollout, guest: SimRollout): readonly SimRollout[] {
  const target = (["httpRoute", "grpcRoute", "virtualService"] as const)[pick(random, 3)] ?? "httpRoute";
  const routes = target === "httpRoute" ? "HTTPRoute" : target === "grpcRoute" ? "GRPCRoute" : "VirtualService";
  const group = random() < 0.7 ? { group: "shared" } : {};
  const of = (rollout: SimRollout, more: Partial<SimCanary>): SimRollout => {
    const { first: _first, ...shape } = { ...rollout.canary, ...more, target, routes, protocol: "http" } as SimCanary;
    const first = (["match", "mirror", "iterations", undefined] as const)[pick(random, 4)];
    const { group: _group, ...plain } = rollout;
    const steps = plain.steps.filter(({ weight }) => weight !== undefined).map(({ kind: _kind, ...step }) => step);
    const canary = fitting(first === undefined ? shape : { ...shape, first });
    return { ...withCanary({ ...plain, steps }, canary), ...group, namespace: host.namespace };
  };
  return [
    of(host, { guest: guest.name }),
    of(guest, { guestOf: host.name, elsewhere: false, second: false, by: host.canary?.by ?? "hosts" }),
  ];
}
