import type { Reader } from "../../reader.ts";
import { maxInt32, readDurationMs, readText, warnOfUnknown } from "../fields.ts";

export interface HttpRetry {
  readonly attempts: number;
  readonly perTryTimeoutMs?: number | undefined;
  /** Conditions and status codes, separated by commas. Absent means the default. */
  readonly retryOn?: string | undefined;
  readonly retryRemoteLocalities?: boolean | undefined;
  readonly retryIgnorePreviousHosts?: boolean | undefined;
  readonly backoffMs?: number | undefined;
}

const conditions = [
  "5xx",
  "gateway-error",
  "reset",
  "reset-before-request",
  "connect-failure",
  "retriable-4xx",
  "refused-stream",
  "retriable-status-codes",
  "retriable-headers",
  "envoy-ratelimited",
  "http3-post-connect-failure",
  "cancelled",
  "deadline-exceeded",
  "internal",
  "resource-exhausted",
  "unavailable",
];

/** The first and last codes of each range of registered status codes. */
const registeredStatuses = [
  [100, 103],
  [200, 208],
  [226, 226],
  [300, 305],
  [307, 308],
  [400, 418],
  [421, 426],
  [428, 429],
  [431, 431],
  [451, 451],
  [500, 508],
  [510, 511],
] as const;

export function readRetries(reader: Reader | undefined): HttpRetry | undefined {
  if (reader === undefined) return undefined;
  const retries: HttpRetry = {
    attempts: reader.integer("attempts", 0, maxInt32) ?? 0,
    perTryTimeoutMs: readDurationMs(reader, "perTryTimeout", 1),
    retryOn: readText(reader, "retryOn"),
    retryRemoteLocalities: reader.boolean("retryRemoteLocalities"),
    retryIgnorePreviousHosts: reader.boolean("retryIgnorePreviousHosts"),
    backoffMs: readDurationMs(reader, "backoff", 1),
  };
  if (retries.attempts === 0) {
    for (const field of ["perTryTimeout", "retryOn", "retryRemoteLocalities"])
      if (reader.has(field)) reader.error("must not be set when attempts is 0, which turns retries off", field);
  }
  for (const condition of retries.retryOn?.split(",") ?? []) {
    if (!conditions.includes(condition) && !isRegisteredStatus(condition)) {
      reader.error(
        `must list status codes or conditions (${conditions.join(", ")}), without spaces, got "${condition}"`,
        "retryOn",
      );
    }
  }
  warnOfUnknown(reader);
  return retries;
}

function isRegisteredStatus(text: string): boolean {
  return (
    /^\d{3}$/.test(text) && registeredStatuses.some(([first, last]) => Number(text) >= first && Number(text) <= last)
  );
}
