import type { Clock, Logger } from "../base/index.ts";
import { problemText, type PluginProblem } from "./plugin/index.ts";

const lookMs = 2_000;
/**
 * The interval in milliseconds at which a lasting problem is reported again. Kubernetes deletes events after an hour.
 */
const againMs = 600_000;

export interface ProblemReportOptions {
  readonly problem: () => PluginProblem | undefined;
  readonly report: (problem: PluginProblem) => void;
  readonly log: Logger;
  readonly clock: Clock;
}

/** Reports a problem when it appears, and again every {@link againMs} while it lasts, until the signal aborts. */
export async function reportProblems(options: ProblemReportOptions, signal: AbortSignal): Promise<void> {
  const { clock, log } = options;
  let reported: { readonly problem: PluginProblem; readonly atMs: number } | undefined;
  for (;;) {
    await clock.sleep(lookMs, signal).catch(() => undefined);
    if (signal.aborted) return;
    const problem = options.problem();
    const nowMs = clock.steadyMs();
    if (problem === undefined) {
      if (reported !== undefined) log.info("the container runtime can call the CNI plugin now");
      reported = undefined;
    } else if (problem.text !== reported?.problem.text || nowMs - reported.atMs >= againMs) {
      log.error("the container runtime does not call the CNI plugin", { error: problemText(problem) });
      options.report(problem);
      reported = { problem, atMs: nowMs };
    }
  }
}
