import { HttpHealthCheckSchema, type HttpHealthCheck } from "../../../wire/envoy/index.ts";
import type { HealthCheckSettings } from "../../filters/health-check-filter.ts";
import { allOf } from "../../routing/matchers.ts";
import { checkFields, durationOr, invalid, type ConfigNotes } from "../config-check.ts";
import { compileHeader } from "../matchers/matcher-config.ts";

export function compileHealthCheck(message: HttpHealthCheck, where: string, notes: ConfigNotes): HealthCheckSettings {
  const { passThroughMode: passes, cacheTime, headers } = message;
  checkFields(HttpHealthCheckSchema, message, where, notes, {
    used: ["passThroughMode", "headers", "cacheTime", "clusterMinHealthyPercentages"],
  });
  if (passes === undefined) throw invalid(where, "passThroughMode must be set");
  const cacheMs = durationOr(cacheTime, 0);
  if (cacheMs > 0 && !passes) throw invalid(where, "cacheTime must not be set unless passThroughMode is true");
  const leastHealthy = new Map(
    Object.entries(message.clusterMinHealthyPercentages).map(([cluster, { value }]) => [cluster, value]),
  );
  return {
    isCheck: allOf(headers.map((header) => compileHeader(header, where, notes))),
    passes,
    cacheMs,
    leastHealthy,
  };
}
