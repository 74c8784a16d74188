import assert from "node:assert/strict";

const shortestRestMs = 50;
const longestRestMs = 1000;
/** The pause between two polls is so many times as long as the last poll took. */
const restFactor = 4;

/**
 * Polls until the result is neither undefined nor false, and returns it. At the time limit, throws an error with the
 * condition. Pauses for four times as long as the last poll took, because polling takes CPU time from what it waits
 * for.
 */
export async function eventually<Value>(
  condition: string,
  look: () => Value | Promise<Value>,
  timeoutMs = 90_000,
): Promise<Exclude<Value, undefined | false>> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const begunMs = performance.now();
    const answer = await look();
    if (answer !== undefined && answer !== false) return answer as Exclude<Value, undefined | false>;
    assert.ok(Date.now() < deadline, `${condition}: not so after ${timeoutMs / 1_000} s`);
    const restMs = Math.min(longestRestMs, Math.max(shortestRestMs, restFactor * (performance.now() - begunMs)));
    await new Promise((resolve) => setTimeout(resolve, restMs));
  }
}
