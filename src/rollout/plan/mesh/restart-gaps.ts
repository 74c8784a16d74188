import { firstNames } from "../../../base/index.ts";
import type { MeshUpgrade } from "../../../api/serin/index.ts";
import { describeReference } from "../../decide/index.ts";
import type { MeshWorld } from "./mesh-world.ts";
import { plannedWaves } from "./waves.ts";

const namesShown = 5;

/**
 * Names the workloads whose own update strategy stops all of their pods before new ones are ready, when a wave restarts
 * them. Requests to them fail in between, as in every restart of such a workload. Empty if there are none.
 */
export function restartGaps(upgrade: MeshUpgrade, world: MeshWorld): readonly string[] {
  const { from, to, scope } = upgrade.spec;
  if (from.revision === to.revision || !scope.namespaces) return [];
  const stopped = plannedWaves(upgrade, world).flatMap(({ wave, namespaces }) =>
    wave.mode === "ScaleFirst"
      ? []
      : namespaces.flatMap(({ workloads }) =>
          workloads.filter(({ object, strategy }) => object.kind === "Deployment" && stopsAll(strategy)),
        ),
  );
  if (stopped.length === 0) return [];
  const names = firstNames(
    stopped.map(({ object }) => describeReference(object)),
    namesShown,
  );
  return [
    `by their own update strategy (Recreate, or maxUnavailable: 100%) all pods of these stop before new ones are ready, and requests to them fail: ${names}; mode: ScaleFirst of their wave starts the new pods first`,
  ];
}

function stopsAll(strategy: unknown): boolean {
  const { type, rollingUpdate } = (strategy ?? {}) as {
    readonly type?: unknown;
    readonly rollingUpdate?: { readonly maxUnavailable?: unknown } | null;
  };
  return type === "Recreate" || rollingUpdate?.maxUnavailable === "100%";
}
