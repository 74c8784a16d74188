import assert from "node:assert/strict";

/** Asks until the answer is neither undefined nor false, and gives it; fails by what was waited for. */
export async function eventually<Value>(
  what: string,
  ask: () => Value | Promise<Value>,
  timeoutMs = 90_000,
): Promise<Exclude<Value, undefined | false>> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer as Exclude<Value, undefined | false>;
    assert.ok(Date.now() < deadline, `${what}: not so after ${timeoutMs / 1_000} s`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
