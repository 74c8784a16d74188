import {
  canaryTargets,
  canHave,
  fitting,
  plainCanary,
  routeKindsOf,
  stepKinds,
  type SimCanary,
} from "./canary-shape.ts";
import { simulateWays, type CellResult, type Way } from "./matrix-cell.ts";
import type { Disturbance, Scenario } from "./scenario.ts";
import { withCanary } from "./seeds/plain-scenario.ts";

/**
 * All Canaries of the matrix. Its dimensions are the target, the kind of its routes, the list of a VirtualService, how
 * the versions differ, the objects around a Deployment, and the kind of the first step. The other options alternate
 * from cell to cell.
 */
export function canaryMatrix(): SimCanary[] {
  const bases = canaryTargets.flatMap((target) =>
    routeKindsOf(target).flatMap((routes) => variantsOf({ ...plainCanary, target, routes })),
  );
  const cells = bases.flatMap((base) =>
    [undefined, ...stepKinds]
      .filter((first) => first === undefined || canHave(base, first))
      .map((first) => (first === undefined ? base : { ...base, first })),
  );
  return cells.map((cell, index) =>
    fitting({
      ...cell,
      second: cell.second || index % 2 === 0,
      affinity: index % 3 === 0,
      replicas: [1, 2, 5][index % 3] ?? 1,
    }),
  );
}

function variantsOf(base: SimCanary): SimCanary[] {
  switch (base.target) {
    case "httpRoute":
    case "grpcRoute":
      return [base, { ...base, elsewhere: true }];
    case "virtualService":
      return (["http", "tcp", "tls"] as const).flatMap((protocol) =>
        (["hosts", "subsets"] as const).map((by) => ({ ...base, protocol, by })),
      );
    case "deployment":
      return [
        base,
        ...(["rule", "autoscaled", "dynamic", "delayed", "onePort", "tcpPort"] as const).map((field) => ({
          ...base,
          [field]: true,
        })),
      ];
    default:
      return [base];
  }
}

export function canaryTitle(cell: SimCanary): string {
  const { target, routes, protocol, by, first } = cell;
  const flags = (
    ["elsewhere", "second", "rule", "autoscaled", "dynamic", "delayed", "affinity", "onePort", "tcpPort"] as const
  ).filter((flag) => cell[flag]);
  const list = target === "virtualService" ? [protocol, `by ${by}`] : [];
  return [target, routes, ...list, ...flags, ...(first === undefined ? [] : [`first ${first}`])].join(" ");
}

/** A person changes the pod template of a Deployment at this tick. The Canary has prepared its target by then. */
const changedAtTick = 60;

/**
 * Runs one Canary several times: to the end and then undone, undone from each step that `isTried` accepts, and with a
 * bad new version that the engine rolls back.
 */
export function simulateCanary(cell: SimCanary, isTried: (step: number) => boolean = () => true): CellResult {
  return simulateWays(canaryTitle(cell), (way) => scenarioOf(cell, way), {
    isTried,
    hasBad: true,
  });
}

function scenarioOf(canary: SimCanary, { isBad = false, killedBeforeWrites = false, ...way }: Way): Scenario {
  const watched = canary.target === "deployment";
  const change: Disturbance = { type: "change", atTick: changedAtTick, rollout: 0, template: "v5" };
  return {
    seed: 1,
    rollouts: [
      withCanary(
        {
          kind: "Canary",
          name: "r0",
          namespace: "a",
          watched,
          errorRate: isBad ? 0.3 : 0,
          rollback: "Automatic",
          onDeletion: "Rollback",
          steps: [{ weight: 10 }, { weight: 50 }, { weight: 100 }],
          createdAtTick: 0,
          ...way,
        },
        canary,
      ),
    ],
    disturbances: watched ? [change] : [],
    maxConcurrent: 1,
    crashRate: 0,
    lostRate: 0,
    staleRate: 0,
    killedBeforeWrites,
  };
}
