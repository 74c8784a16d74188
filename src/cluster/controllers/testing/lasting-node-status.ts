import type { Node } from "../../../api/kubernetes/index.ts";

const futureMs = 3_600_000;

/**
 * The status of a ready node whose heartbeat no process renews. The heartbeat is in the future, because the scheduler
 * ignores nodes without a recent heartbeat.
 */
export function lastingNodeStatus(): NonNullable<Node["status"]> {
  const lastHeartbeatTime = new Date(Date.now() + futureMs).toISOString();
  return {
    allocatable: { cpu: "4", memory: "8Gi", pods: "110" },
    conditions: [{ type: "Ready", status: "True", lastHeartbeatTime }],
  };
}
