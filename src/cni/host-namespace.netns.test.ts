import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { requireOwnNetwork } from "../net/testing/index.ts";

requireOwnNetwork();

const program = join(import.meta.dirname, "testing/print-host-namespace.ts");
const home = statSync("/proc/self/ns/net").ino;

test("the node's namespace is that of the process that started the pod", () => {
  const seen = execFileSync("unshare", ["-p", "-f", "unshare", "-n", process.execPath, program], { encoding: "utf8" });
  assert.equal(Number(seen), home);
});

test("the node's namespace is found while the process that started the pod is in another pod's namespace", () => {
  const starter = join(import.meta.dirname, "testing/start-from-pod-namespace.ts");
  assert.equal(Number(execFileSync(process.execPath, [starter, program], { encoding: "utf8" })), home);
});

test("a pod on the node's own network finds it too", () => {
  assert.equal(Number(execFileSync(process.execPath, [program], { encoding: "utf8" })), home);
});
