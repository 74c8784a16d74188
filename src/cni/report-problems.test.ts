import assert from "node:assert/strict";
import { test } from "node:test";
import { createLogger, systemClock } from "../base/index.ts";
import type { PluginProblem } from "./plugin/index.ts";
import { reportProblems } from "./report-problems.ts";

test("a problem is reported when it appears, when it changes, and again while it lasts", async () => {
  const stop = new AbortController();
  let nowMs = 0;
  const problemAt = (): PluginProblem | undefined => {
    if (nowMs < 10_000 || nowMs >= 1_000_000) return undefined;
    return { text: nowMs < 20_000 ? "first" : "second" };
  };
  const reported: string[] = [];
  await reportProblems(
    {
      problem: problemAt,
      report: ({ text }) => void reported.push(`${nowMs / 1_000} ${text}`),
      log: createLogger({ scope: "test", write: () => undefined }),
      clock: {
        ...systemClock,
        steadyMs: () => nowMs,
        sleep: (ms) => {
          nowMs += ms;
          if (nowMs > 1_010_000) stop.abort();
          return Promise.resolve();
        },
      },
    },
    stop.signal,
  );
  assert.deepEqual(reported, ["10 first", "20 second", "620 second"]);
});
