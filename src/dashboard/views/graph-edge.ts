import type { GraphEdge } from "../../api/dashboard/index.ts";
import { quantileMs } from "./duration-counts.ts";
import { trafficHealth } from "./health.ts";
import { isVisible, type VisibleNamespaces } from "./view-input.ts";
import { mutualTlsShare, shareOf, sumTraffic, type TrafficEdge } from "./traffic.ts";

export function edgeNumbers(
  parts: readonly TrafficEdge[],
): Omit<GraphEdge, "from" | "to" | "protocol" | "service" | "configuredWeight" | "measuredShare" | "route"> {
  const sum = sumTraffic(parts);
  const errorShare = shareOf(sum.failureRate, sum.requestRate);
  const [p50Ms, p95Ms, p99Ms] = [0.5, 0.95, 0.99].map((quantile) => quantileMs(sum.durations, quantile));
  const secured = mutualTlsShare(sum);
  return {
    requestRate: sum.requestRate,
    errorShare,
    clientErrorShare: shareOf(sum.clientErrorRate, sum.requestRate),
    responses: ratesByResponse(sum.responses),
    ...(p50Ms === undefined ? {} : { p50Ms }),
    ...(p95Ms === undefined ? {} : { p95Ms }),
    ...(p99Ms === undefined ? {} : { p99Ms }),
    byteRate: sum.byteRate,
    openedRate: sum.openedRate,
    ...(secured === undefined ? {} : { mutualTlsShare: secured }),
    health: trafficHealth(sum.requestRate, errorShare, sum.byteRate + sum.openedRate).health,
  };
}

/**
 * Defines the properties one by one. If they were assigned, V8 would treat names such as `200` as array elements, and
 * allocate 2.5 kB for each edge every second.
 */
function ratesByResponse(responses: ReadonlyMap<string, number>): Readonly<Record<string, number>> {
  const rates: Record<string, number> = {};
  for (const [response, value] of responses)
    if (value > 0) Object.defineProperty(rates, response, { value, enumerable: true, configurable: true });
  return rates;
}

/**
 * `namespace/name`, or the host of an external service. Empty if unknown, or if the reader may not see the namespace.
 */
export function serviceText({ service }: TrafficEdge, visible: VisibleNamespaces): string {
  if (service.namespace !== "unknown" && !isVisible(visible, service.namespace)) return "";
  if (service.name === "unknown") return service.host === "unknown" ? "" : service.host;
  return service.namespace === "unknown" ? service.name : `${service.namespace}/${service.name}`;
}
