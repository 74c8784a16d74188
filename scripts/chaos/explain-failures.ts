// Which failed requests a fault explains: those whose connection a killed process held, or that went over a link that was away.
import type { LoadFailure } from "../../samples/load-generator/load-plan.ts";
import type { StruckFault } from "./strikes.ts";

/** A reset reaches the client, and the client tells it, in less than this. */
const toldWithinMs = 2_000;

/** The failures that no fault explains. `limitMs`: how long a request waits for its answer. */
export function unexplainedFailures(
  failures: readonly LoadFailure[],
  faults: readonly StruckFault[],
  limitMs: number,
): readonly LoadFailure[] {
  return failures.filter(({ at, cause, target }) => {
    const atMs = Date.parse(at);
    // A request that was under way at the fault's end may wait for its whole limit.
    const waitedMs = isSilence(cause) ? limitMs : 0;
    return !faults.some(
      ({ cuts, fromMs, untilMs }) =>
        cuts !== undefined && target.startsWith(cuts) && atMs >= fromMs && atMs <= untilMs + waitedMs + toldWithinMs,
    );
  });
}

/** No whole answer came in time. */
function isSilence(cause: string): boolean {
  return /\bin \d+ ms\b|DEADLINE_EXCEEDED|ETIMEDOUT/.test(cause);
}

/** Long connections that were closed are in the same list; they are no requests. */
export const isRequest = ({ group }: LoadFailure): boolean => group !== "closed-connection";
