import {
  CircuitBreakers_ThresholdsSchema,
  CircuitBreakersSchema,
  type CircuitBreakers,
  type CircuitBreakers_Thresholds,
} from "../../../wire/envoy/index.ts";
import type { BreakerLimits, BreakerThresholds } from "../../upstream/circuit-breaker.ts";
import { checkFields, type ConfigNotes } from "../config-check.ts";

/** Envoy's numbers for the routing priorities DEFAULT and HIGH. */
const defaultPriority = 0;
const highPriority = 1;
/** Envoy's limits where a cluster states none. */
const defaultThreshold = 1024;
const defaultMaxRetries = 3;
const defaultRetryPercent = 20;
const defaultMinRetries = 3;

/**
 * The limits of a cluster: connections, waiting and open requests, retries, and the retry budget. Thresholds of the
 * priority HIGH have no effect. Throws if a field is not supported; the error begins with `where`.
 */
export function compileBreaker(message: CircuitBreakers | undefined, where: string, notes: ConfigNotes): BreakerLimits {
  const here = `${where}: circuitBreakers`;
  if (message !== undefined) {
    checkFields(CircuitBreakersSchema, message, here, notes, { used: ["thresholds"] });
    for (const threshold of message.thresholds) {
      checkFields(CircuitBreakers_ThresholdsSchema, threshold, here, notes, {
        used: [
          "priority",
          "maxConnections",
          "maxPendingRequests",
          "maxRequests",
          "maxRetries",
          "retryBudget",
          "trackRemaining",
        ],
        harmless: ["maxConnectionPools"],
      });
    }
  }
  const threshold = ofPriority(message, defaultPriority);
  const budget = threshold?.retryBudget;
  return {
    ...thresholds(threshold),
    tracksRemaining: threshold?.trackRemaining === true,
    retryBudget:
      budget === undefined
        ? undefined
        : {
            fraction: (budget.budgetPercent?.value ?? defaultRetryPercent) / 100,
            min: budget.minRetryConcurrency ?? defaultMinRetries,
          },
  };
}

/** The thresholds of the priority HIGH. The admin endpoint shows them, but they have no effect. */
export function highThresholds(message: CircuitBreakers | undefined): BreakerThresholds {
  return thresholds(ofPriority(message, highPriority));
}

function ofPriority(message: CircuitBreakers | undefined, wanted: number): CircuitBreakers_Thresholds | undefined {
  return message?.thresholds.find(({ priority }: { readonly priority: number }) => priority === wanted);
}

function thresholds(threshold: CircuitBreakers_Thresholds | undefined): BreakerThresholds {
  return {
    maxConnections: threshold?.maxConnections ?? defaultThreshold,
    maxPendingRequests: threshold?.maxPendingRequests ?? defaultThreshold,
    maxRequests: threshold?.maxRequests ?? defaultThreshold,
    maxRetries: threshold?.maxRetries ?? defaultMaxRetries,
  };
}
