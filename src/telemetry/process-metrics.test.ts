import assert from "node:assert/strict";
import { closeSync, openSync } from "node:fs";
import { test } from "node:test";
import { addProcessMetrics, MetricsRegistry, renderPrometheus } from "./index.ts";

test("the process metrics include the open descriptors and the address space", () => {
  const registry = new MetricsRegistry();
  addProcessMetrics(registry, process);
  const value = (name: string): number =>
    Number(new RegExp(`^${name} (\\S+)$`, "m").exec(renderPrometheus(registry))?.[1]);
  const before = value("process_open_fds");
  const opened = [openSync("/dev/null", "r"), openSync("/dev/null", "r")];
  assert.equal(value("process_open_fds"), before + 2);
  for (const fd of opened) closeSync(fd);
  assert.ok(value("process_virtual_memory_bytes") > value("process_resident_memory_bytes"));
});
