import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { createLogger } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import { followPodEnd } from "./pod-end-folder.ts";

function parentFolder(t: TestContext): string {
  const parent = mkdtempSync(join(tmpdir(), "serin-"));
  t.after(() => rmSync(parent, { recursive: true, force: true }));
  return parent;
}

const log = createLogger({ scope: "test", level: "error" });

test("a proxy notices the file once when it appears, and leaves no folder behind", async (t) => {
  const folder = join(parentFolder(t), "orders");
  const end = new AbortController();
  let calls = 0;
  const followed = followPodEnd({ folder, onPodEnd: () => void (calls += 1), log }, end.signal);
  await until(() => existsSync(folder));
  writeFileSync(join(folder, "another"), "");
  writeFileSync(join(folder, "drain"), "");
  await until(() => calls > 0);
  end.abort();
  await followed;
  assert.equal(existsSync(folder), false);
});

test("a file that the previous container's hook left has no effect", async (t) => {
  const folder = join(parentFolder(t), "orders");
  mkdirSync(folder);
  writeFileSync(join(folder, "drain"), "");
  const end = new AbortController();
  let calls = 0;
  const followed = followPodEnd({ folder, onPodEnd: () => void (calls += 1), log }, end.signal);
  await until(() => existsSync(folder) && !existsSync(join(folder, "drain")));
  await new Promise((resolve) => setTimeout(resolve, 50));
  end.abort();
  await followed;
  assert.equal(calls, 0);
});

test("without the pod's volume there is no folder, so the hook sends a request", async (t) => {
  const folder = join(parentFolder(t), "absent", "orders");
  await followPodEnd({ folder, onPodEnd: () => undefined, log }, new AbortController().signal);
  assert.equal(existsSync(folder), false);
});
