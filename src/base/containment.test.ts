import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { contained, containedErrors, containErrors, containing, containingClock, logContained } from "./containment.ts";
import { systemClock } from "./clock.ts";
import { createLogger } from "./log.ts";

const run = promisify(execFile);

test("without a report, an error is thrown on, and with one it is reported, counted and returned", () => {
  const error = new Error("broken");
  assert.throws(() => contained(error), error);
  assert.throws(() => containing(() => assert.fail("broken")), /broken/);
  const before = containedErrors();
  const reported: unknown[] = [];
  {
    using _ = containErrors((each) => void reported.push(each));
    assert.equal(contained(error), error);
    assert.equal(contained("text").message, "text");
    containing(() => {
      throw error;
    });
  }
  assert.deepEqual(reported, [error, "text", error]);
  assert.equal(containedErrors() - before, 3);
  assert.throws(() => contained(error), error);
});

test("a promise that is rejected without a handler is contained", async () => {
  // In a process of its own, because the test runner also listens for such promises.
  const program = `import { containErrors } from ${JSON.stringify(import.meta.resolve("./containment.ts"))};
    containErrors((error) => console.log(String(error)));
    void Promise.reject(new Error("nobody looks"));
    setTimeout(() => console.log("still here"), 1);`;
  const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", program]);
  assert.equal(stdout, "Error: nobody looks\nstill here\n");
});

test("a timer of a containing clock contains the error of what it calls", async () => {
  const reported = Promise.withResolvers<unknown>();
  using _ = containErrors(reported.resolve);
  using _timer = containingClock(systemClock).after(1, () => {
    throw new Error("late");
  });
  assert.equal(String(await reported.promise), "Error: late");
});

test("the log has the stacks of three errors a minute, and then how many are missing", () => {
  const lines: string[] = [];
  let nowMs = 0;
  const report = logContained(createLogger({ scope: "proxy", level: "info", write: (line) => void lines.push(line) }), {
    steadyMs: () => nowMs,
  });
  for (let error = 1; error <= 10; error += 1) report(new Error(`fault ${error}`));
  assert.equal(lines.length, 3);
  assert.match(lines[0] ?? "", /an error in Serin ended a connection.*fault 1.*containment\.test\.ts/);
  nowMs = 60_000;
  report(new Error("fault 11"));
  assert.match(lines[3] ?? "", /errors=7/);
  assert.match(lines[4] ?? "", /fault 11/);
});
