import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { numberOption } from "./number-option.ts";

const root = join(import.meta.dirname, "../..");

test("a number within its limits is read", () => {
  assert.equal(numberOption("--rate", "0.3"), 0.3);
  assert.equal(numberOption("--port", "0", { isWhole: true, minimum: 0 }), 0);
});

for (const [script, args, expected] of [
  ["scripts/istio-suite.ts", ["--workers", "1,2"], '--workers must be a whole number above 0, got "1,2"\n'],
  ["scripts/istio-suite.ts", ["--minutes", "3x"], '--minutes must be a number above 0, got "3x"\n'],
  ["scripts/sim.ts", ["--seeds", "1e3"], '--seeds must be a whole number above 0, got "1e3"\n'],
  ["scripts/dashboard-dev.ts", ["--port", "-1"], '--port must be a whole number from 0, got "-1"\n'],
] as const)
  test(`${script} ${args.join(" ")} is refused before anything starts`, () => {
    const [option, value] = args;
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ["--disable-warning=ExperimentalWarning", script, `${option}=${value}`],
      { cwd: root, encoding: "utf8" },
    );
    assert.deepEqual({ status, stdout, stderr }, { status: 2, stdout: "", stderr: expected });
  });

test("no script or bench converts an option to a number by itself", () => {
  const own = globSync(["scripts/**/*.ts", "bench/**/*.ts", "test/interop/**/*.ts"], { cwd: root }).filter(
    (file) =>
      !file.endsWith(".test.ts") &&
      /\bNumber\((flags|values|options)[.[](?!port\b)/.test(readFileSync(join(root, file), "utf8")),
  );
  assert.deepEqual(own, []);
});
