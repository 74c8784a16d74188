import type { LifecycleHandler } from "../../../api/kubernetes/index.ts";
import { transientError, type Clock } from "../../../base/index.ts";
import { attemptHttp, type ProbeTarget } from "./probe-attempt.ts";

/**
 * Runs a container's hook. Throws if it fails, or if its command or request takes longer than the limit. The signal
 * aborts a `sleep` hook.
 */
export async function runHook(
  handler: LifecycleHandler,
  target: ProbeTarget,
  { clock, limitMs, signal }: { readonly clock: Clock; readonly limitMs: number; readonly signal: AbortSignal },
): Promise<void> {
  if (handler.sleep !== undefined) await clock.sleep(handler.sleep.seconds * 1_000, signal);
  else if (handler.exec !== undefined) {
    const { exitCode, output } = await target.exec(handler.exec.command ?? [], limitMs);
    if (exitCode !== 0) throw transientError("hook-failed", `command exited with ${exitCode}: ${output}`);
  } else if (handler.httpGet !== undefined) {
    const outcome = await attemptHttp(handler.httpGet, target, limitMs);
    if (!outcome.success) throw transientError("hook-failed", outcome.message);
  }
}
