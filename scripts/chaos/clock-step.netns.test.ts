import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { systemClock } from "../../src/base/index.ts";
import { steppedClock } from "./clock-step.ts";

const closedWithinMs = 1_000;
const teller = `setInterval(() => console.log(JSON.stringify([Date.now(), new Date().getTime(), new Date(5).getTime(), new Date() instanceof Date])), 20)`;

test("the clock of a running process goes one minute back and forward again, and its inspector closes each time", async () => {
  const child = spawn(process.execPath, ["-e", teller], { stdio: ["ignore", "pipe", "ignore"] });
  try {
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const nextLine = async (): Promise<readonly [number, number, number, boolean]> =>
      JSON.parse((await lines.next()).value as string) as [number, number, number, boolean];
    const evaluate = (expression: string): string => {
      child.kill("SIGUSR1");
      const words = ["--input-type=module", "-e", steppedClock.evaluator, expression];
      const { stdout, stderr } = spawnSync(process.execPath, words, { encoding: "utf8", timeout: 20_000 });
      assert.equal(stderr, "");
      return stdout.trim();
    };
    const clocksBehind = async (behindMs: number): Promise<void> => {
      for (let left = 500; left > 0; left -= 1) {
        const [now, fresh, given, isDate] = await nextLine();
        assert.ok(isDate && given === 5 && Math.abs(now - fresh) < 1_000);
        if (Math.abs(Date.now() - behindMs - now) < 20_000) return;
      }
      assert.fail(`the clock is not ${behindMs} ms behind`);
    };
    await clocksBehind(0);
    for (let turn = 0; turn < 2; turn += 1) {
      assert.equal(evaluate(steppedClock.back), "stepped back");
      await clocksBehind(60_000);
      await systemClock.sleep(closedWithinMs);
      assert.equal(evaluate(steppedClock.forward), "as before");
      await clocksBehind(0);
      await systemClock.sleep(closedWithinMs);
    }
  } finally {
    child.kill("SIGKILL");
  }
});
