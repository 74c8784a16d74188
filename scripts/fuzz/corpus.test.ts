import assert from "node:assert/strict";
import { test } from "node:test";
import { loadTarget, readCorpus, targetNames } from "./target.ts";

/** The limit of an input's CPU time. The first input also loads its parser. */
const maxInputMs = 5000;

for (const name of targetNames())
  test(`no input that fuzzing of ${name} found breaks a rule`, async () => {
    const target = await loadTarget(name);
    for (const input of [...target.seeds.map((seed) => Buffer.from(seed as string)), ...readCorpus(name)]) {
      const before = process.cpuUsage();
      await target.run(input);
      const { user, system } = process.cpuUsage(before);
      assert.ok((user + system) / 1000 < maxInputMs, `${input.toString("hex")} takes too long`);
    }
  });
