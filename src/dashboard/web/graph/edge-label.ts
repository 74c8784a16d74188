import type { GraphEdge } from "../../../api/dashboard/index.ts";
import { formatBytes, formatMs, formatRate, formatShare } from "../format.ts";
import { isTcp } from "./display-graph.ts";

export const edgeLabels = ["none", "rate", "errors", "p50", "p95", "p99", "weight", "bytes", "mtls"] as const;
export type EdgeLabel = (typeof edgeLabels)[number];

export const edgeLabelTitles: Readonly<Record<EdgeLabel, string>> = {
  none: "No label",
  rate: "Rate",
  errors: "Errors",
  p50: "Latency p50",
  p95: "Latency p95",
  p99: "Latency p99",
  weight: "Weight: configured → measured",
  bytes: "Bytes",
  mtls: "Mutual TLS",
};

/** The text of an edge's label. Empty if the edge has no such value, because a zero would be wrong. */
export function edgeLabel(edge: GraphEdge, label: EdgeLabel): string {
  switch (label) {
    case "none":
      return "";
    case "rate":
      if (isTcp(edge))
        return edge.openedRate > 0 ? `${formatRate(edge.openedRate).replace("/s", "")} conn/s` : bytesLabel(edge);
      return edge.requestRate > 0 ? formatRate(edge.requestRate) : "";
    case "errors":
      if (isTcp(edge) || edge.requestRate === 0) return "";
      return formatShare(edge.errorShare);
    case "p50":
      return latencyLabel(edge.p50Ms);
    case "p95":
      return latencyLabel(edge.p95Ms);
    case "p99":
      return latencyLabel(edge.p99Ms);
    case "weight":
      return weightLabel(edge);
    case "bytes":
      return bytesLabel(edge);
    case "mtls":
      return edge.mutualTlsShare === undefined
        ? ""
        : edge.mutualTlsShare >= fullShare
          ? "mTLS"
          : edge.mutualTlsShare === 0
            ? "plain text"
            : `${formatShare(edge.mutualTlsShare)} mTLS`;
  }
}

/** From this share on, 100 % is shown, because the rest is a rounding error. */
export const fullShare = 0.9995;

function latencyLabel(ms: number | undefined): string {
  return ms === undefined ? "" : formatMs(ms);
}

function bytesLabel(edge: GraphEdge): string {
  return edge.byteRate > 0 ? `${formatBytes(edge.byteRate)}/s` : "";
}

/** For example `10 % → 9.6 %`, or `10 %` if no share was measured. Empty without a configured weight. */
function weightLabel({ configuredWeight, measuredShare }: GraphEdge): string {
  const measured = measuredShare === undefined ? "" : formatShare(measuredShare);
  if (configuredWeight === undefined) return "";
  const configured = `${Number(configuredWeight.toFixed(1))} %`;
  return measured === "" ? configured : `${configured} → ${measured}`;
}
