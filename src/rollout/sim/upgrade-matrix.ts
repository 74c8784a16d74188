import { simulateWays, type CellResult, type Way } from "./matrix-cell.ts";
import type { Scenario } from "./scenario.ts";
import { canBeOfBanzai, dataPlanes, gatewayKinds, type GatewayKind, type SimMesh } from "./sim-mesh.ts";

/**
 * All meshes of the matrix. Its dimensions are the data plane, the gateways, how namespaces name revisions, whether the
 * upgrade installs the new revision, and the operator. The other options alternate from mesh to mesh.
 */
export function upgradeMatrix(): SimMesh[] {
  const sets: readonly (readonly GatewayKind[])[] = [[], ...gatewayKinds.map((kind) => [kind]), gatewayKinds];
  const cells = dataPlanes.flatMap((dataPlane) =>
    sets.flatMap((gateways) =>
      (["revision", "tag"] as const).flatMap((by) =>
        [true, false].flatMap((installs) => {
          const cell = { dataPlane, gateways, by, installs };
          // Only meshes with exactly the installation's gateway get a variant with an egress gateway, as the profile
          // demo has it.
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
    // In half of the meshes of Banzai's operator, a person must move a proxy.
    stranger: "operator" in cell && cell.operator === "Istio" && index % 2 === 0,
    kubeInject: index % 4 === 0,
    // With these weights and this number, each number of autoscaled pods leads to other steps.
    ...(index % 4 < 2 ? { autoscaled: true, weights: [10, 50, 100], replicas: 4 } : {}),
  }));
}

type Cell = Pick<SimMesh, "dataPlane" | "gateways" | "by" | "installs" | "operator">;

/**
 * The same mesh with an operator that has installed the old revision. Empty for meshes with a single kind of gateway.
 */
function operatedCells(cell: Cell): Cell[] {
  if (cell.gateways.length === 1) return [];
  return [
    { ...cell, operator: "IstioOperator" },
    ...(canBeOfBanzai(cell) ? [{ ...cell, operator: "Istio" as const }] : []),
  ];
}

/** Simulates the upgrade of a mesh in the ways of {@link simulateWays}. */
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
