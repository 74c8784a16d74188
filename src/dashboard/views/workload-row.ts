import type { WorkloadRow } from "../../api/dashboard/index.ts";
import { podHealth, trafficHealth, workloadHealth } from "./health.ts";
import type { Workload } from "./inventory.ts";
import { ratesOf, trafficIndex } from "./traffic-index.ts";
import type { ViewInput } from "./view-input.ts";

/** The row of a workload. It shows the requests that the workload receives, or for a gateway those that it sends on. */
export function workloadRow(workload: Workload, { traffic }: Pick<ViewInput, "traffic">): WorkloadRow {
  const index = trafficIndex(traffic);
  const isGateway = workload.role === "gateway";
  const { requestRate, errorShare, p99Ms, sum } = ratesOf(
    (isGateway ? index.outbound : index.inbound).get(workload.key),
  );
  const judged = workloadHealth(
    podHealth(workload.readyPods, workload.wantedPods, workload.pods.length),
    trafficHealth(requestRate, errorShare, sum.byteRate),
  );
  return {
    namespace: workload.namespace,
    name: workload.name,
    kind: workload.kind,
    app: workload.app,
    version: workload.version,
    revision: workload.revision,
    dataPlane: workload.dataPlane,
    podsReady: workload.readyPods,
    pods: workload.wantedPods,
    restarts: workload.restarts,
    health: judged.health,
    reason: judged.reason,
    requestRate,
    errorShare,
    ...(p99Ms === undefined ? {} : { p99Ms }),
  };
}
