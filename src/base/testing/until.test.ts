import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "./index.ts";

test("until returns the first value that is neither undefined nor false", async () => {
  const answers = [undefined, false, 0];
  assert.equal(await until(() => answers.shift()), 0);
});

test("until looks again after work that takes a while", async () => {
  let isDone = false;
  setTimeout(() => (isDone = true), 20);
  assert.equal(await until(async () => isDone), true);
});

test("until rests after a look that takes a while", async () => {
  const endMs = performance.now() + 100;
  let looks = 0;
  await until(async () => {
    looks += 1;
    await new Promise((resolve) => setTimeout(resolve, 2));
    return performance.now() > endMs;
  });
  assert.ok(looks < 20, `${looks} looks`);
});

test("until names what it waited for when its time is over", async (context) => {
  let nowMs = 0;
  context.mock.method(performance, "now", () => (nowMs += 30_000));
  await assert.rejects(
    until(() => false, "two pods"),
    /not so after (?:50|200) s: two pods/,
  );
});
