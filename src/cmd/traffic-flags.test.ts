import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { trafficFlags } from "./traffic-flags.ts";

/** A flag as V8 lists it in a process with these flags. Undefined if V8 does not know the flag. */
function valueOf(name: string, flags: readonly string[]): string | undefined {
  const { stdout } = spawnSync(process.execPath, [...flags, "--v8-options"], { encoding: "utf8" });
  const [, value] = new RegExp(String.raw`default: (--(?:no-)?${name}(?:=\S+)?)$`, "m").exec(stdout) ?? [];
  return value;
}

test("V8 knows each flag of data planes, and has another value without it", () => {
  for (const flag of trafficFlags) {
    const name = flag.replace(/^--(?:no-)?/, "").replace(/=.*/, "");
    assert.equal(valueOf(name, trafficFlags), flag);
    const byDefault = valueOf(name, []);
    assert.ok(byDefault !== undefined && byDefault !== flag, `${name} is ${byDefault} by default`);
  }
});
