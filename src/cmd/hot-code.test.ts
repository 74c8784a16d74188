import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { inliningFlags } from "./hot-code.ts";

/** The value of a flag in a process with these flags. NaN if V8 does not know it. */
function valueOf(name: string, flags: readonly string[]): number {
  const { stdout } = spawnSync(process.execPath, [...flags, "--v8-options"], { encoding: "utf8" });
  return Number(stdout.split(`default: ${name}=`)[1]?.split("\n")[0]);
}

test("V8 knows the flags by which data planes inline more, and has lower limits without them", () => {
  for (const flag of inliningFlags) {
    const [name = "", value] = flag.split("=");
    assert.equal(valueOf(name, inliningFlags), Number(value));
    assert.ok(valueOf(name, []) < Number(value));
  }
});
