import type { Health } from "../../../api/dashboard/index.ts";

/** The sort order of healths, the worst first. */
export const healthRank: Readonly<Record<Health, number>> = {
  failing: 0,
  degraded: 1,
  unknown: 2,
  healthy: 3,
  idle: 4,
};
