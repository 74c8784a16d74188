import { simulateWays, type CellResult, type Way } from "./matrix-cell.ts";
import type { Scenario } from "./scenario.ts";
import { canBeOfBanzai, dataPlanes, gatewayKinds, type GatewayKind, type SimMesh } from "./sim-mesh.ts";

/**
 * All meshes of the matrix. Its dimensions are the data plane, the gateways, how namespaces name revisions, and the
 * installer.
 */
export function upgradeMatrix(): SimMesh[] {
  const sets: readonly (readonly GatewayKind[])[] = [[], ...gatewayKinds.map((kind) => [kind]), gatewayKinds];
  const cells = dataPlanes.flatMap((dataPlane) =>
    sets.flatMap((gateways) =>
      (["revision", "tag"] as const).flatMap((by) =>
        [true, false].flatMap((installs) => {
          const cell = { dataPlane, gateways, by, installs };
          // The profile demo has the gateway of the profile default and one more.
          const isDefault = gateways.length === 1 && gateways[0] === "operator";
          return [cell, ...(isDefault ? [{ ...cell, egress: true }] : []), ...operatedCells(cell)];
        }),
      ),
    ),
  );
  const ways = ["Pod", "Namespace", "Node"] as const;
  return cells.map((cell, index) => ({
    ...cell,
    ztunnelBy: ways[index % ways.length] ?? "Pod",
    weights: index % 2 === 0 ? [50, 100] : [100],
    replicas: 1 + (index % 3),
    retire: index % 5 === 0 ? "Manual" : "Automatic",
    // In half of the meshes of Banzai's operator, a person moves the gateway.
    stranger: "operator" in cell && cell.operator === "Istio" && index % 2 === 0,
    kubeInject: index % 4 === 0,
    // With these weights and this number, the plan has other steps for each number of pods.
    ...(index % 4 < 2 ? { autoscaled: true, weights: [10, 50, 100], replicas: 4 } : {}),
  }));
}

type Cell = Pick<SimMesh, "dataPlane" | "gateways" | "by" | "installs" | "operator">;

/**
 * The same mesh with an operator that has installed the old revision. Only for meshes without gateways and with one
 * gateway of each kind.
 */
function operatedCells(cell: Cell): Cell[] {
  if (cell.gateways.length === 1) return [];
  return [
    { ...cell, operator: "IstioOperator" },
    ...(canBeOfBanzai(cell) ? [{ ...cell, operator: "Istio" as const }] : []),
  ];
}

/** Upgrades one mesh to the end and rolls back from there, and also from each step that `isTried` accepts. */
export function simulateUpgrade(mesh: SimMesh, isTried: (step: number) => boolean = () => true): CellResult {
  return simulateWays(JSON.stringify(mesh), (way) => upgradeOf(mesh, way), { isTried });
}

function upgradeOf(mesh: SimMesh, { isBad: _isBad, killedBeforeWrites = false, ...way }: Way): Scenario {
  return {
    seed: 1,
    rollouts: [
      {
        kind: "MeshUpgrade",
        name: "r0",
        namespace: "a",
        watched: false,
        errorRate: 0,
        rollback: "Automatic",
        onDeletion: "Rollback",
        steps: [],
        createdAtTick: 0,
        moves: ["a", "b"],
        mesh,
        ...way,
      },
    ],
    disturbances: [],
    maxConcurrent: 1,
    crashRate: 0,
    lostRate: 0,
    staleRate: 0,
    killedBeforeWrites,
  };
}
