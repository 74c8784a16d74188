import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { keepLogs } from "./keep-logs.ts";

test("the logs of the lab and of its pods are kept, in a folder for each node", (t) => {
  const directory = mkdtempSync(join(tmpdir(), "keep-logs-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const [state, kept] = [join(directory, "state"), join(directory, "new", "kept")];
  const pod = "shop_web_uid/app";
  mkdirSync(join(state, "nodes/worker/var/log/pods", pod), { recursive: true });
  writeFileSync(join(state, "nodes/worker/var/log/pods", pod, "0.log"), "a pod\n");
  writeFileSync(join(state, "launcher.log"), "the lab\n");
  keepLogs(state, kept);
  assert.equal(readFileSync(join(kept, "launcher.log"), "utf8"), "the lab\n");
  assert.equal(readFileSync(join(kept, "worker", pod, "0.log"), "utf8"), "a pod\n");
});

test("a lab that was never created has no logs", (t) => {
  const directory = mkdtempSync(join(tmpdir(), "keep-logs-"));
  t.after(() => rmSync(directory, { recursive: true }));
  assert.doesNotThrow(() => keepLogs(join(directory, "absent"), join(directory, "kept")));
});
