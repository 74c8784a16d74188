import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { createLogger, systemClock, type Clock } from "../../base/index.ts";
import { MeshConfigFile } from "./mesh-config-file.ts";

const directory = mkdtempSync(join(tmpdir(), "mesh-config-"));
after(() => rmSync(directory, { recursive: true }));

test("a mesh config that is invalid or unreadable leaves the previous one in force, and is logged once", async () => {
  const path = join(directory, "mesh");
  const lines: string[] = [];
  const log = createLogger({ scope: "pilot", level: "info", write: (line) => void lines.push(line) });
  const steps = [
    () => writeFileSync(path, "trustDomain: one"),
    () => writeFileSync(path, "trustDomain: [one"),
    () => undefined,
    // A YAML parser would take half a minute for this text.
    () => writeFileSync(path, `networks: ${"[{fr, {f".repeat(150)}`),
    // Reading a directory fails like reading a file on a broken disk.
    () => (rmSync(path), mkdirSync(path)),
    () => rmSync(path, { recursive: true }),
  ];
  const stop = new AbortController();
  const clock: Clock = {
    ...systemClock,
    sleep: async () => await Promise.resolve((steps.shift() ?? (() => stop.abort()))()),
  };
  const file = new MeshConfigFile(path, clock, log);
  assert.equal((await file.load()).trustDomain, "cluster.local", "a file that is not there is empty");
  const taken: string[] = [];
  const texts: string[] = [];
  await file.run(stop.signal, (config) => {
    taken.push(config.trustDomain);
    texts.push(file.text);
  });
  assert.deepEqual(taken, ["one", "cluster.local"]);
  assert.deepEqual(texts, ["trustDomain: one", ""]);
  assert.equal(lines.filter((line) => line.includes("kept the previous mesh config")).length, 3);
  assert.equal(lines.filter((line) => line.includes("must be nested at most 64 levels deep")).length, 1);
});
