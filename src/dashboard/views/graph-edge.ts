import type { GraphEdge } from "../../api/dashboard/index.ts";
import { quantileMs } from "./duration-counts.ts";
import { trafficHealth } from "./health.ts";
import { isVisible, type VisibleNamespaces } from "./view-input.ts";
import { mutualTlsShare, shareOf, sumTraffic, type TrafficEdge } from "./traffic.ts";

/** The numbers of an edge, from what was counted for it. */
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
 * Names like `200` are indices to the engine, which lays an array out up to it: 2.5 kB an edge, made anew each second. Properties that
 * cannot be written are kept one by one.
 */
function ratesByResponse(responses: ReadonlyMap<string, number>): Readonly<Record<string, number>> {
  const rates: Record<string, number> = {};
  for (const [response, value] of responses)
    if (value > 0) Object.defineProperty(rates, response, { value, enumerable: true, configurable: true });
  return rates;
}

/** `namespace/name`, or a host outside; empty where it is not known, or its namespace may not be seen. */
export function serviceText({ service }: TrafficEdge, visible: VisibleNamespaces): string {
  if (service.namespace !== "unknown" && !isVisible(visible, service.namespace)) return "";
  if (service.name === "unknown") return service.host === "unknown" ? "" : service.host;
  return service.namespace === "unknown" ? service.name : `${service.namespace}/${service.name}`;
}
