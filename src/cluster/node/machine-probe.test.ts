import assert from "node:assert/strict";
import { test } from "node:test";
import { internalError } from "../../base/index.ts";
import { tryStarter } from "./containers/starter.ts";
import { startFinding } from "./machine-probe.ts";

test("the doctor starts the program by which containers start, and names the setting that forbids programs in memory", () => {
  assert.deepEqual(startFinding(tryStarter), {
    subject: "programs in memory",
    ok: true,
    detail: "works",
    remedy: "",
  });
  const { ok, detail, remedy } = startFinding(() => {
    throw internalError("system-call", "spawn /proc/self/fd/28: EACCES", { reason: "EACCES" });
  });
  assert.deepEqual([ok, detail], [false, "spawn /proc/self/fd/28: EACCES"]);
  assert.match(remedy, /^sudo sysctl -w vm\.memfd_noexec=1,/);
});
