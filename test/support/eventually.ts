import assert from "node:assert/strict";

const shortestRestMs = 50;
const longestRestMs = 500;

/**
 * Polls until the answer is neither undefined nor false, and returns it. The error names the awaited condition. The
 * pause is twice as long as the question took, because polling takes processor time from the awaited work.
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
    const restMs = Math.min(longestRestMs, Math.max(shortestRestMs, 2 * (performance.now() - begunMs)));
    await new Promise((resolve) => setTimeout(resolve, restMs));
  }
}
