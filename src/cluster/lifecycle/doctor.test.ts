import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { diagnose, type Finding } from "./doctor.ts";

const directory = mkdtempSync(join(tmpdir(), "doctor-"));
after(() => rmSync(directory, { recursive: true }));

function stateDirectory(path: string): Finding | undefined {
  const findings = diagnose({ env: { PATH: process.env["PATH"], XDG_STATE_HOME: path }, insideCommand: ["false"] });
  return findings.find(({ subject }) => subject === "state directory");
}

test("a state directory that does not exist yet is no problem, and is not created", () => {
  const path = join(directory, "not/yet");
  const finding = stateDirectory(path);
  assert.equal(finding?.ok, true);
  assert.match(finding.detail, /\/not\/yet\/serin, \d+ MB free$/);
  assert.ok(!existsSync(join(directory, "not")));
});

test("a state directory that cannot be created is reported with the path that is in its way", () => {
  const file = join(directory, "file");
  writeFileSync(file, "");
  assert.deepEqual(stateDirectory(join(file, "below")), {
    subject: "state directory",
    ok: false,
    detail: `cannot write ${file}`,
    remedy: "set XDG_STATE_HOME to a directory that you may write",
  });
});
