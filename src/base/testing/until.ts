import assert from "node:assert/strict";

/** Less than the limit of a test: polling that continues after a test would keep its file running. */
const timeoutMs = 50_000;
/** Looks in this many rounds of the event loop before it pauses: work in memory is done by then. */
const roundsWithoutPause = 50;
const pauseMs = 5;

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
    const found = await look();
    if (found !== undefined && found !== false) return found as Exclude<Value, undefined | false>;
    assert.ok(performance.now() < deadlineMs, `not so after ${timeoutMs / 1_000} s: ${condition}`);
    await new Promise<void>((resolve) => {
      if (round < roundsWithoutPause) setImmediate(resolve);
      else setTimeout(resolve, pauseMs);
    });
  }
}
