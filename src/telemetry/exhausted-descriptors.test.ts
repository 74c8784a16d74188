import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { sourceStack } from "../base/index.ts";

const program = `
import { openSync } from "node:fs";
import { mock } from "node:test";
import { addProcessMetrics, MetricsRegistry, renderPrometheus } from "${import.meta.resolve("./index.ts")}";
import { giveBackIdleMemory } from "${import.meta.resolve("../base/index.ts")}";
mock.timers.enable({ apis: ["setInterval"] });
const registry = new MetricsRegistry();
addProcessMetrics(registry, process);
giveBackIdleMemory(1);
try {
  for (;;) openSync("/dev/null");
} catch (error) {
  process.stdout.write(error.code + " ");
}
mock.timers.tick(3000);
process.stdout.write(/^process_heap_bytes [1-9]/m.test(renderPrometheus(registry)) ? "goes on" : "no metrics");
`;

test("a process whose clients use up its descriptors goes on", () => {
  const arguments_ = ["-c", 'ulimit -n 64; exec "$0" --input-type=module -e "$1"', process.execPath, program];
  const { stdout, stderr } = spawnSync("/bin/sh", arguments_, { encoding: "utf8" });
  assert.equal(stdout, "EMFILE goes on", stderr);
});

test("an error keeps its stack if the map of the sources cannot be read", () => {
  const directory = mkdtempSync(join(tmpdir(), "source-stack-"));
  try {
    writeFileSync(join(directory, "chunk.js.map"), "{");
    const error = new Error("broken");
    error.stack = `Error: broken\n    at ${pathToFileURL(join(directory, "chunk.js")).href}:1:1`;
    assert.equal(sourceStack(error), error.stack);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
