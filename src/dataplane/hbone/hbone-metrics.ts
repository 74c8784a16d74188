import type { MetricsRegistry } from "../../telemetry/index.ts";
import type { FloodReason } from "../../wire/http2/index.ts";

export type HboneCutOff = FloodReason;

export function hboneCutOffs(registry: MetricsRegistry): (reason: HboneCutOff) => void {
  const counter = registry.counter(
    "serin_hbone_cut_off_total",
    "HBONE connections that were closed because the peer flooded them, by reason.",
    ["reason"],
  );
  return (reason) => counter.labels(reason).increment();
}
