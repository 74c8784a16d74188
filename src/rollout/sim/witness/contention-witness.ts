import { invariant } from "../../../base/index.ts";
import type { RolloutStatus } from "../../../api/serin/index.ts";
import { allDone, isUnderWay } from "../../decide/index.ts";
import type { Rollout } from "../../engine/rollout-object.ts";
import type { Scenario } from "../scenario.ts";

interface RolloutNow {
  readonly key: string;
  readonly rollout: Rollout;
  readonly status: RolloutStatus;
}

/** Checks how many rollouts are under way at once, and that no two of them hold the same namespace. */
export function isWithinLimits({ maxConcurrent }: Scenario, rollouts: readonly RolloutNow[]): void {
  const moving = rollouts.filter(
    ({ status }) =>
      isUnderWay(status) && status.undo === undefined && !allDone(status) && status.step?.lingers !== true,
  );
  const grouped = moving.filter(({ rollout }) => rollout.spec.group !== undefined).length;
  invariant(
    moving.length - Math.max(0, grouped - 1) <= maxConcurrent,
    `${moving.length} are under way, ${maxConcurrent} may be`,
  );
  invariant(
    moving.filter(({ rollout }) => rollout.kind === "MeshUpgrade").length <= 1,
    "two mesh upgrades are under way",
  );
  for (const moved of moving) {
    for (const other of moving) {
      if (
        moved.key >= other.key ||
        (moved.rollout.spec.group !== undefined && moved.rollout.spec.group === other.rollout.spec.group)
      )
        continue;
      const shared = (moved.status.namespaces ?? []).find((name) => other.status.namespaces?.includes(name) === true);
      invariant(shared === undefined, `${moved.key} and ${other.key} both hold namespace ${shared ?? ""}`);
    }
  }
}
