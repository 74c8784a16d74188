import { ownField } from "../../../base/index.ts";
import { anyIs, anyUnpack } from "@bufbuild/protobuf/wkt";
import {
  PreviousPrioritiesConfigSchema,
  RetryPolicySchema,
  type RetryPolicy as RetryPolicyMessage,
} from "../../../wire/envoy/index.ts";
import type { RetryConditions, RetryPolicy } from "../../routing/route.ts";
import { checkFields, durationOr, invalid, unsupported, type ConfigNotes } from "../config-check.ts";
import { resolveTypedStruct } from "../typed-struct.ts";

const grpcStatusNumbers: Readonly<Record<string, string>> = {
  cancelled: "1",
  "deadline-exceeded": "4",
  "resource-exhausted": "8",
  internal: "13",
  unavailable: "14",
};

const conditionFields: Readonly<Record<string, keyof RetryConditions>> = {
  "connect-failure": "connectFailure",
  reset: "reset",
  "reset-before-request": "resetBeforeRequest",
  "refused-stream": "refusedStream",
  "5xx": "serverError",
  "gateway-error": "gatewayError",
  "retriable-4xx": "retriable4xx",
  "retriable-status-codes": "retriableStatusCodes",
  "envoy-ratelimited": "rateLimited",
};

/** Conditions of `retry_on` that never hold here: one needs HTTP/3, the other a list of headers, which no route has. */
const neverHappens = new Set(["http3-post-connect-failure", "retriable-headers"]);

const defaultBaseIntervalMs = 25;

export function compileRetry(message: RetryPolicyMessage, where: string, notes: ConfigNotes): RetryPolicy {
  const here = `${where}: retryPolicy`;
  checkFields(RetryPolicySchema, message, here, notes, {
    used: [
      "retryOn",
      "numRetries",
      "perTryTimeout",
      "retryHostPredicate",
      "retryPriority",
      "hostSelectionRetryMaxAttempts",
      "retriableStatusCodes",
      "retryBackOff",
    ],
    harmless: ["refreshClusterOnRetry"],
  });
  const baseIntervalMs = durationOr(message.retryBackOff?.baseInterval, defaultBaseIntervalMs);
  let avoidPreviousHosts = false;
  for (const predicate of message.retryHostPredicate) {
    if (predicate.name !== "envoy.retry_host_predicates.previous_hosts")
      throw unsupported(here, `the host predicate ${predicate.name}`);
    avoidPreviousHosts = true;
  }
  return {
    on: compileConditions(message.retryOn, here),
    retries: message.numRetries ?? 1,
    perTryTimeoutMs: durationOr(message.perTryTimeout, 0),
    baseIntervalMs,
    maxIntervalMs: durationOr(message.retryBackOff?.maxInterval, baseIntervalMs * 10),
    retriableStatusCodes: message.retriableStatusCodes,
    avoidPreviousHosts,
    otherPrioritiesAfter: prioritiesAfter(message.retryPriority, here),
    hostSelectionAttempts: Math.max(1, Number(message.hostSelectionRetryMaxAttempts)),
  };
}

function prioritiesAfter(priority: RetryPolicyMessage["retryPriority"], where: string): number | undefined {
  if (priority === undefined) return undefined;
  const config = priority.configType.value && resolveTypedStruct(priority.configType.value, `${where}: retryPriority`);
  if (
    priority.name !== "envoy.retry_priorities.previous_priorities" ||
    config === undefined ||
    !anyIs(config, PreviousPrioritiesConfigSchema)
  )
    throw unsupported(where, `the retry priority ${priority.name}`);
  const { updateFrequency } = anyUnpack(config, PreviousPrioritiesConfigSchema) ?? { updateFrequency: 0 };
  if (updateFrequency < 1) throw invalid(where, "retryPriority: updateFrequency must be above 0");
  return updateFrequency;
}

function compileConditions(retryOn: string, where: string): RetryConditions {
  const conditions = {
    connectFailure: false,
    reset: false,
    resetBeforeRequest: false,
    refusedStream: false,
    serverError: false,
    gatewayError: false,
    retriable4xx: false,
    retriableStatusCodes: false,
    rateLimited: false,
    grpcStatuses: new Set<string>(),
  };
  for (const word of retryOn.split(",").map((part) => part.trim())) {
    const field = ownField(conditionFields, word);
    const grpcStatus = ownField(grpcStatusNumbers, word);
    if (field !== undefined && field !== "grpcStatuses") conditions[field] = true;
    else if (grpcStatus !== undefined) conditions.grpcStatuses.add(grpcStatus);
    else if (word !== "" && !neverHappens.has(word)) throw unsupported(where, `retryOn "${word}"`);
  }
  return conditions;
}
