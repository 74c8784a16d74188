import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { until } from "../../src/base/testing/index.ts";
import { runToEnd, yieldToOthers } from "./run-session.ts";

const groupOf = (pid: number | string): string => `/proc/${pid}/autogroup`;
const yields = (pid: number | string): boolean => / nice 3$/m.test(readFileSync(groupOf(pid), "utf8"));

test("where Linux groups processes by session, those of a command that yields come after others", async (t) => {
  const child = spawn("sh", ["-c", "setsid sleep 60 & echo $!; wait"], {
    detached: true,
    stdio: ["ignore", "pipe", "ignore"],
  });
  const closed = once(child, "close");
  const { pid = 0 } = child;
  const [text] = (await once(child.stdout, "data")) as [Buffer];
  const below = text.toString().trim();
  const stop = yieldToOthers(pid);
  t.after(async () => {
    stop();
    process.kill(Number(below), "SIGKILL");
    child.kill("SIGKILL");
    await closed;
  });
  if (existsSync(groupOf("self"))) await until(() => yields(pid) && yields(below));
  // A process that has already ended is no error.
  assert.doesNotThrow(() => yieldToOthers(2 ** 30)());
});

test("a command has the niceness of its priority, and its end and its output are reported", async () => {
  const run = async (yieldsToOthers: boolean, line: string) =>
    await runToEnd({
      command: ["sh", "-c", line],
      env: process.env,
      timeoutMs: 60_000,
      yields: yieldsToOthers,
    });
  const own = await run(false, "nice");
  assert.equal(own.ended, "0");
  assert.deepEqual(await run(true, "nice; exit 3"), { ended: "3", output: "19\n" });
});
