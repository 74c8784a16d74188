import type { ServiceRow } from "../../api/dashboard/index.ts";
import { trafficHealth, workloadHealth, type Judged } from "./health.ts";
import type { ServiceRecord } from "./inventory.ts";
import { ratesOf, trafficIndex } from "./traffic-index.ts";
import type { ViewInput } from "./view-input.ts";

export function serviceRow(record: ServiceRecord, { traffic }: Pick<ViewInput, "traffic">): ServiceRow {
  const { metadata, spec } = record.service;
  const { requestRate, errorShare, p99Ms, sum } = ratesOf(trafficIndex(traffic).ofService.get(record.key));
  const judged = workloadHealth(endpointHealth(record), trafficHealth(requestRate, errorShare, sum.byteRate));
  return {
    namespace: metadata.namespace ?? "",
    name: metadata.name ?? "",
    type: spec?.type ?? "ClusterIP",
    clusterIp: spec?.clusterIP ?? "",
    ports: (spec?.ports ?? []).map(
      ({ name, port, protocol, appProtocol }) =>
        `${port}${protocol === undefined || protocol === "TCP" ? "" : `/${protocol}`}${name === undefined ? "" : ` ${name}`}${appProtocol === undefined ? "" : ` ${appProtocol}`}`,
    ),
    endpointsReady: record.endpointsReady,
    endpoints: record.endpoints,
    health: judged.health,
    reason: judged.reason,
    requestRate,
    errorShare,
    ...(p99Ms === undefined ? {} : { p99Ms }),
    waypoint: record.waypoint,
  };
}

function endpointHealth({ service, endpoints, endpointsReady, workloads }: ServiceRecord): Judged {
  if (service.spec?.selector === undefined && endpoints === 0) return { health: "unknown", reason: "" };
  if (endpoints === 0)
    return {
      health: "idle",
      reason: workloads.length === 0 ? "its selector matches no pods" : "the service has no endpoints",
    };
  if (endpointsReady === 0) return { health: "failing", reason: `none of ${endpoints} endpoints is ready` };
  return endpointsReady < endpoints
    ? { health: "degraded", reason: `${endpointsReady} of ${endpoints} endpoints are ready` }
    : { health: "healthy", reason: "" };
}
