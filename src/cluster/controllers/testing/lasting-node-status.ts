import type { Node } from "../../../api/kubernetes/index.ts";

/** Longer than any test runs. */
const futureMs = 3_600_000;

/**
 * The status of a ready node whose heartbeat nobody renews. It is in the future, because the scheduler places no pods
 * on a node without a recent one.
 */
export function lastingNodeStatus(): NonNullable<Node["status"]> {
  const lastHeartbeatTime = new Date(Date.now() + futureMs).toISOString();
  return {
    allocatable: { cpu: "4", memory: "8Gi", pods: "110" },
    conditions: [{ type: "Ready", status: "True", lastHeartbeatTime }],
  };
}
