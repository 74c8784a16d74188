import { afterRunning, userError } from "../../src/base/index.ts";

const endTimeoutMs = 60_000;

/**
 * Waits for the end of something that has no time limit of its own, such as a browser. Rejects at the limit with its
 * name, because a run that waits in vain does not say for what.
 */
export async function limitedEnd(what: string, end: Promise<void>, limitMs = endTimeoutMs): Promise<void> {
  const { promise: overdue, reject } = Promise.withResolvers<never>();
  using _limit = afterRunning(limitMs, () =>
    reject(userError("script-failed", `${what} did not end within ${limitMs / 1_000} s`)),
  );
  await Promise.race([end, overdue]);
}
