import assert from "node:assert/strict";

/**
 * Less than the time limit of a test, because polling that continues after a test would keep its file running. The
 * runner gives more time to tests that yield to others, and passes the factor.
 */
const timeoutMs = 50_000 * Number(process.env["SERIN_TEST_PATIENCE"] ?? 1);
/**
 * The condition is checked in this many rounds of the event loop before the first pause, because work in memory is done
 * by then.
 */
const roundsWithoutPause = 50;
/** A check that takes longer than this waits for another process, which needs the processor too. */
const quickLookMs = 0.5;
const pauseMs = 5;
/** The minimum pause after a check that is not quick, as a multiple of its duration, and the limit of that pause. */
const pauseFactor = 4;
const longestPauseMs = 25;

/**
 * Waits until `look` returns neither undefined nor false, and returns that value. The error contains `condition`, which
 * is `look` itself if a test does not describe it.
 */
export async function until<Value>(
  look: () => Value | Promise<Value>,
  condition = String(look),
): Promise<Exclude<Value, undefined | false>> {
  const deadlineMs = performance.now() + timeoutMs;
  for (let round = 0; ; round += 1) {
    const begunMs = performance.now();
    const found = await look();
    const lookMs = performance.now() - begunMs;
    if (found !== undefined && found !== false) return found as Exclude<Value, undefined | false>;
    assert.ok(performance.now() < deadlineMs, `not so after ${timeoutMs / 1_000} s: ${condition}`);
    await new Promise<void>((resolve) => {
      if (lookMs > quickLookMs) setTimeout(resolve, Math.min(longestPauseMs, Math.max(pauseMs, pauseFactor * lookMs)));
      else if (round < roundsWithoutPause) setImmediate(resolve);
      else setTimeout(resolve, pauseMs);
    });
  }
}
