import type { CheckStatus } from "../../../api/serin/index.ts";
import { judgeCheck, type CheckObservation, type PlannedCheck } from "../../decide/index.ts";
import { CheckObserver, type CheckObserverOptions, type CheckOrigin } from "./check-observer.ts";

const roundMs = 500;

/**
 * Looks at a check outside of any rollout until it has an answer, at most `withinMs` long; then the answer is how it stands:
 * wait or error. The view must have synced.
 */
export async function runCheckOnce(check: PlannedCheck, options: CheckObserverOptions & { readonly withinMs: number; readonly signal: AbortSignal }): Promise<CheckStatus> {
  const { clock, withinMs, signal } = options;
  const observer = new CheckObserver(options);
  const origin: CheckOrigin = { rollout: "", step: "" };
  const startedMs = clock.steadyMs();
  let status: CheckStatus | undefined;
  for (;;) {
    const passedMs = clock.steadyMs() - startedMs;
    const seen: CheckObservation = await observer.observe(check, { ...origin, settledForMs: passedMs });
    status = judgeCheck(check, seen, status, passedMs);
    if (status.verdict === "pass" || status.verdict === "fail" || passedMs >= withinMs || signal.aborted) return status;
    await clock.sleep(roundMs, signal).catch(() => undefined);
  }
}
