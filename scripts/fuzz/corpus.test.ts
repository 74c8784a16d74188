import assert from "node:assert/strict";
import { test } from "node:test";
import { loadTarget, readCorpus, targetNames } from "./target.ts";

/** By the wall's clock, on a machine that does other things as well. */
const maxInputMs = 5000;

for (const name of targetNames())
  test(`no input that fuzzing of ${name} found breaks a rule`, async () => {
    const target = await loadTarget(name);
    for (const input of [...target.seeds.map((seed) => Buffer.from(seed as string)), ...readCorpus(name)]) {
      const start = performance.now();
      await target.run(input);
      assert.ok(performance.now() - start < maxInputMs, `${input.toString("hex")} takes too long`);
    }
  });
