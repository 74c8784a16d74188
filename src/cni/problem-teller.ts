import type { Clock, Logger } from "../base/index.ts";

const lookMs = 2_000;
/** How often a lasting problem is told again, because Kubernetes forgets events after an hour. */
const againMs = 600_000;

export interface ProblemTellerOptions {
  /** The present problem. Undefined if there is none. */
  readonly problem: () => string | undefined;
  readonly tell: (problem: string) => void;
  readonly log: Logger;
  readonly clock: Clock;
}

/** Tells a problem when it appears, and from time to time while it lasts, until the signal aborts. */
export async function tellProblems(options: ProblemTellerOptions, signal: AbortSignal): Promise<void> {
  const { clock, log } = options;
  let told: { readonly problem: string; readonly atMs: number } | undefined;
  for (;;) {
    await clock.sleep(lookMs, signal).catch(() => undefined);
    if (signal.aborted) return;
    const problem = options.problem();
    const nowMs = clock.steadyMs();
    if (problem === undefined) {
      if (told !== undefined) log.info("the container runtime can call the CNI plugin now");
      told = undefined;
    } else if (problem !== told?.problem || nowMs - told.atMs >= againMs) {
      log.error("the container runtime does not call the CNI plugin", { error: problem });
      options.tell(problem);
      told = { problem, atMs: nowMs };
    }
  }
}
