import { afterRunning, userError } from "../../src/base/index.ts";

const endTimeoutMs = 60_000;

/**
 * Waits for the end of something that has no time limit of its own, such as a browser. At the limit, rejects with an
 * error that contains `what`. Without this, a run would hang and not say what it waits for.
 */
export async function limitedEnd(what: string, end: Promise<void>, limitMs = endTimeoutMs): Promise<void> {
  const { promise: overdue, reject } = Promise.withResolvers<never>();
  using _limit = afterRunning(limitMs, () =>
    reject(userError("script-failed", `${what} did not end within ${limitMs / 1_000} s`)),
  );
  await Promise.race([end, overdue]);
}
