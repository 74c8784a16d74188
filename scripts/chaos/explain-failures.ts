// Decides which failed requests a fault explains: those on a connection of a killed process, and those on a link that
// was down.
import type { LoadFailure } from "../../samples/load-generator/load-plan.ts";
import type { InjectedFault } from "./fault-injector.ts";

/** The longest time from the end of a fault until a generator reports a connection that the fault reset. */
const reportedWithinMs = 2_000;

/** Returns the failures that no fault explains. `limitMs` is the time limit of a request. */
export function unexplainedFailures(
  failures: readonly LoadFailure[],
  faults: readonly InjectedFault[],
  limitMs: number,
): readonly LoadFailure[] {
  return failures.filter(({ at, cause, target }) => {
    const atMs = Date.parse(at);
    // A request that began before the fault's end may wait for its whole time limit.
    const waitedMs = isSilence(cause) ? limitMs : 0;
    return !faults.some(
      ({ cuts, fromMs, untilMs }) =>
        cuts !== undefined &&
        target.startsWith(cuts) &&
        atMs >= fromMs &&
        atMs <= untilMs + waitedMs + reportedWithinMs,
    );
  });
}

/** Whether the request failed because no complete answer came in time. */
function isSilence(cause: string): boolean {
  return /\bin \d+ ms\b|DEADLINE_EXCEEDED|ETIMEDOUT/.test(cause);
}

/** Whether the failure is a request's. The list also contains closed long connections. */
export const isRequest = ({ group }: LoadFailure): boolean => group !== "closed-connection";
