import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { silentLogger, systemClock } from "../../base/index.ts";
import { ReleaseRunner } from "../release/release-runner.ts";
import { startShadowPilot } from "./shadow-pilot.ts";

test("an interrupted start of a shadow ends when the shadow's process has ended", async (context) => {
  const directory = await mkdtemp(join(tmpdir(), "serin-shadow-"));
  context.after(() => rm(directory, { recursive: true }));
  const started = join(directory, "started");
  // A program that never answers, and that takes a while to end.
  const program = `
    process.on("SIGTERM", () => setTimeout(() => process.exit(0), 300));
    require("node:fs").writeFileSync(${JSON.stringify(started)}, String(process.pid));
    setInterval(() => undefined, 1000);`;
  const interrupt = new AbortController();
  const runner = await ReleaseRunner.open({ env: process.env, signal: interrupt.signal });
  context.after(() => runner.close());
  const node = { command: process.execPath, args: ["--eval", program, "--"] };
  const starting = startShadowPilot({
    release: { kind: "serin", directory, version: "9.9.9", cli: node, pilot: node },
    runner,
    kubeConfig: { server: "http://127.0.0.1:9", context: "none", namespace: "default" },
    meshConfig: "",
    env: {},
    revision: "default",
    namespace: "istio-system",
    clock: systemClock,
    log: silentLogger,
  });
  const pid = await startedPid(started);
  interrupt.abort(new Error("interrupted"));
  await assert.rejects(starting);
  assert.throws(() => process.kill(pid, 0), { code: "ESRCH" });
});

async function startedPid(file: string): Promise<number> {
  for (;;) {
    try {
      const pid = Number(readFileSync(file, "utf8"));
      if (pid > 0) return pid;
    } catch {}
    // The process has not written the file yet.
    await systemClock.sleep(20);
  }
}
