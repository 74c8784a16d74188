import type { Health } from "../../../api/dashboard/index.ts";

/** For sorting: the worst health is first. */
export const healthRank: Readonly<Record<Health, number>> = {
  failing: 0,
  degraded: 1,
  unknown: 2,
  healthy: 3,
  idle: 4,
};
