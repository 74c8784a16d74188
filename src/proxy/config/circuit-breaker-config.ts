import {
  CircuitBreakers_ThresholdsSchema,
  CircuitBreakersSchema,
  type CircuitBreakers,
} from "../../wire/envoy/index.ts";
import type { BreakerLimits } from "../upstream/circuit-breaker.ts";
import { checkFields, type ConfigNotes } from "./config-check.ts";

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
        used: ["priority", "maxConnections", "maxPendingRequests", "maxRequests", "maxRetries", "retryBudget"],
        harmless: ["trackRemaining", "maxConnectionPools"],
      });
    }
  }
  const threshold = message?.thresholds.find(({ priority }: { readonly priority: number }) => priority === 0);
  const budget = threshold?.retryBudget;
  return {
    maxConnections: threshold?.maxConnections ?? defaultThreshold,
    maxPendingRequests: threshold?.maxPendingRequests ?? defaultThreshold,
    maxRequests: threshold?.maxRequests ?? defaultThreshold,
    maxRetries: threshold?.maxRetries ?? defaultMaxRetries,
    retryBudget:
      budget === undefined
        ? undefined
        : {
            fraction: (budget.budgetPercent?.value ?? defaultRetryPercent) / 100,
            min: budget.minRetryConcurrency ?? defaultMinRetries,
          },
  };
}
