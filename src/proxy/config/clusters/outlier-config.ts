import { OutlierDetectionSchema, type OutlierDetection } from "../../../wire/envoy/index.ts";
import type { OutlierPolicy } from "../../upstream/outlier-detector.ts";
import { checkFields, durationOr, unsupported, type ConfigNotes, type FieldRules } from "../config-check.ts";

/** Envoy's values where a policy states none. */
const defaultErrors = 5;
const defaultIntervalMs = 10_000;
const defaultBaseEjectionMs = 30_000;
const defaultMaxEjectionMs = 300_000;
const defaultMaxEjectionPercent = 10;

const outlierFields: FieldRules = {
  used: [
    "consecutive5xx",
    "interval",
    "baseEjectionTime",
    "maxEjectionPercent",
    "enforcingConsecutive5xx",
    "consecutiveGatewayFailure",
    "enforcingConsecutiveGatewayFailure",
    "splitExternalLocalOriginErrors",
    "consecutiveLocalOriginFailure",
    "enforcingConsecutiveLocalOriginFailure",
    "maxEjectionTime",
    "maxEjectionTimeJitter",
    "alwaysEjectOneHost",
    "enforcingSuccessRate",
    "enforcingLocalOriginSuccessRate",
    "enforcingFailurePercentage",
    "enforcingFailurePercentageLocalOrigin",
  ],
  harmless: [
    "successRateMinimumHosts",
    "successRateRequestVolume",
    "successRateStdevFactor",
    "failurePercentageThreshold",
    "failurePercentageMinimumHosts",
    "failurePercentageRequestVolume",
    "successfulActiveHealthCheckUnejectHost",
  ],
};

/**
 * Compiles the rules by which a cluster ejects endpoints. Throws if a field is not supported; the error begins with
 * `where`. `notes` gets the fields that this proxy counts differently than Envoy.
 */
export function compileOutliers(message: OutlierDetection, where: string, notes: ConfigNotes): OutlierPolicy {
  const here = `${where}: outlierDetection`;
  checkFields(OutlierDetectionSchema, message, here, notes, outlierFields);
  for (const field of [
    "enforcingSuccessRate",
    "enforcingLocalOriginSuccessRate",
    "enforcingFailurePercentage",
    "enforcingFailurePercentageLocalOrigin",
  ] as const) {
    if ((message[field] ?? 0) > 0) throw unsupported(here, field);
  }
  if (message.enforcingSuccessRate === undefined)
    notes.tell("outlierDetection: endpoints are ejected for consecutive errors, not for their success rate");
  for (const field of [
    "enforcingConsecutive5xx",
    "enforcingConsecutiveGatewayFailure",
    "enforcingConsecutiveLocalOriginFailure",
  ] as const) {
    const percent = message[field] ?? 0;
    if (percent > 0 && percent < 100)
      notes.tell(`${here}: ${field} ${percent} counts as 100: an endpoint that reaches the limit is always ejected`);
  }
  // Whether an ejection is enforced. Envoy has a percentage here, and Istio sets 0 or 100.
  const enforced = (percent: number | undefined, fallback: number): boolean => (percent ?? fallback) > 0;
  return {
    consecutiveServerErrors: enforced(message.enforcingConsecutive5xx, 100)
      ? (message.consecutive5xx ?? defaultErrors)
      : 0,
    consecutiveGatewayErrors: enforced(message.enforcingConsecutiveGatewayFailure, 0)
      ? (message.consecutiveGatewayFailure ?? defaultErrors)
      : 0,
    consecutiveLocalErrors: enforced(message.enforcingConsecutiveLocalOriginFailure, 100)
      ? (message.consecutiveLocalOriginFailure ?? defaultErrors)
      : 0,
    splitsLocalErrors: message.splitExternalLocalOriginErrors,
    intervalMs: durationOr(message.interval, defaultIntervalMs),
    baseEjectionMs: durationOr(message.baseEjectionTime, defaultBaseEjectionMs),
    maxEjectionMs: durationOr(message.maxEjectionTime, defaultMaxEjectionMs),
    ejectionJitterMs: durationOr(message.maxEjectionTimeJitter, 0),
    maxEjectionPercent: message.maxEjectionPercent ?? defaultMaxEjectionPercent,
    alwaysEjectsOne: message.alwaysEjectOneHost ?? false,
  };
}
