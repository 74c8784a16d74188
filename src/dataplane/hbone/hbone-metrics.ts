import type { MetricsRegistry } from "../../telemetry/index.ts";
import type { HboneCutOff } from "./tunnel-connection.ts";

/** Counts HBONE connections whose peer was cut off, by reason. */
export function hboneCutOffs(registry: MetricsRegistry): (reason: HboneCutOff) => void {
  const counter = registry.counter(
    "serin_hbone_cut_off_total",
    "HBONE connections that were closed because of what their peer floods us with.",
    ["reason"],
  );
  return (reason) => counter.labels(reason).increment();
}
