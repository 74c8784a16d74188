import assert from "node:assert/strict";

const shortestRestMs = 50;
const longestRestMs = 1000;
/** The pause between two polls, as a multiple of the last poll's duration. */
const restFactor = 4;

/**
 * Polls until the result is neither undefined nor false, and returns it. At the time limit, throws an error that names
 * the awaited condition. The pause is four times as long as the last poll took, because polling takes processor time
 * from the awaited work.
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
