import type { Clock } from "./clock.ts";
import { sourceStack } from "./source-stack.ts";
import type { Logger } from "./log.ts";

/** Receives an error that escaped while this thread served one connection. Must not throw. */
export type ReportContained = (error: unknown) => void;

let report: ReportContained | undefined;
let count = 0;

/**
 * From now on, an error that escapes while this thread serves one connection ends that connection instead of the
 * process (ADR 23). The same holds for a promise that is rejected without a handler. Disposing of the result ends
 * this. Without it, such errors crash the process, so that tests see them.
 */
export function containErrors(to: ReportContained): Disposable {
  const rejected = (reason: unknown): void => {
    contained(reason);
  };
  report = to;
  process.on("unhandledRejection", rejected);
  return {
    [Symbol.dispose]: () => {
      report = undefined;
      process.off("unhandledRejection", rejected);
    },
  };
}

/**
 * Reports an error that escaped from the code for one connection, and returns it. The caller must then end the
 * connection. Throws the error if this thread does not contain errors.
 */
export function contained(error: unknown): Error {
  if (report === undefined) throw error;
  count += 1;
  report(error);
  return error instanceof Error ? error : new Error(String(error));
}

/** Runs the work of one of several connections. Its error does not reach the caller, which serves the others too. */
export function containing(run: () => void): void {
  try {
    run();
  } catch (error) {
    contained(error);
  }
}

/** How many errors this thread has contained. */
export function containedErrors(): number {
  return count;
}

/** Returns a clock whose timers contain the errors of what they call. */
export function containingClock(clock: Clock): Clock {
  return {
    nowMs: () => clock.nowMs(),
    steadyMs: () => clock.steadyMs(),
    sleep: async (ms, signal) => await clock.sleep(ms, signal),
    after: (ms, run) => clock.after(ms, () => containing(run)),
  };
}

/**
 * The maximum number of logged errors in a period. A client may be able to cause an error with each request, and a
 * stack with positions in the sources takes tens of milliseconds.
 */
const maxLogged = 3;
const logPeriodMs = 60_000;

/** Returns a report that logs contained errors with their stacks: the first three of each minute. */
export function logContained(log: Logger, clock: Pick<Clock, "steadyMs">): ReportContained {
  let periodStartMs = -Infinity;
  let seen = 0;
  return (error) => {
    const nowMs = clock.steadyMs();
    if (nowMs - periodStartMs >= logPeriodMs) {
      const omitted = seen - maxLogged;
      if (omitted > 0) log.error("further errors ended connections and were not logged", { errors: omitted });
      periodStartMs = nowMs;
      seen = 0;
    }
    seen += 1;
    if (seen > maxLogged) return;
    const stack = error instanceof Error ? sourceStack(error) : String(error);
    log.error("an error in Serin ended a connection. Please report it with this stack", { stack });
  };
}
