import type { LoadFailure } from "../../samples/load-generator/load-plan.ts";
import type { Excuse } from "../../test/kubernetes/bench.ts";

export interface CaseRequests {
  /** The number of failed requests that no fault of the case explains. It includes failures without details. */
  readonly failed: number;
  /** The number of requests that failed because of a fault that the case itself caused. */
  readonly excused: number;
  /** The details of those failures that no fault explains. */
  readonly unexcused: readonly LoadFailure[];
}

/**
 * Divides a case's failed requests into those that its own faults explain and the others. `failed` is the number of all
 * failures. The generators describe only some of them when there are many.
 */
export function caseRequests(
  failed: number,
  failures: readonly LoadFailure[],
  excuses: readonly Excuse[],
): CaseRequests {
  const described = failures.filter(({ group }) => group !== "closed-connection");
  const unexcused = described.filter((failure) => !excuses.some((excuse) => explains(excuse, failure)));
  const excused = described.length - unexcused.length;
  return { failed: failed - excused, excused, unexcused };
}

function explains({ cause, fromMs, untilMs }: Excuse, failure: LoadFailure): boolean {
  const atMs = Date.parse(failure.at);
  return atMs >= fromMs && atMs <= untilMs && cause.test(failure.cause);
}
