import assert from "node:assert/strict";

/**
 * It is below the time limit of a test, because polling that continues after a test would keep the test's file running.
 * The test runner passes a factor for tests that get less of the processor.
 */
const timeoutMs = 50_000 * Number(process.env["SERIN_TEST_PATIENCE"] ?? 1);
/**
 * The number of rounds of the event loop with a check in each, before the first pause. Work in memory is done by then.
 */
const roundsWithoutPause = 50;
/**
 * A check that takes longer than this waits for another process. That process needs the processor too, so pauses become
 * longer.
 */
const quickLookMs = 0.5;
const pauseMs = 5;
/** After a check that is not quick, the pause is this many times its duration, up to the limit. */
const pauseFactor = 4;
const longestPauseMs = 25;

/**
 * Waits until `look` returns neither undefined nor false, and returns that value. After the timeout, it throws an error
 * that quotes `condition`.
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
