import assert from "node:assert/strict";
import { test } from "node:test";
import { createLogger, systemClock } from "../base/index.ts";
import { tellProblems } from "./problem-teller.ts";

test("a problem is told when it appears, when it changes, and again while it lasts", async () => {
  const stop = new AbortController();
  let nowMs = 0;
  const problemAt = (): string | undefined => {
    if (nowMs < 10_000) return undefined;
    return nowMs < 20_000 ? "first" : nowMs < 1_000_000 ? "second" : undefined;
  };
  const told: string[] = [];
  await tellProblems(
    {
      problem: problemAt,
      tell: (problem) => void told.push(`${nowMs / 1_000} ${problem}`),
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
  assert.deepEqual(told, ["10 first", "20 second", "620 second"]);
});
