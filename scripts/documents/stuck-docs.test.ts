import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { pauseReasons } from "../../src/api/serin/index.ts";

const root = join(import.meta.dirname, "../..");

/** The title of each entry of docs/stuck.md: phases, reasons and quoted messages. */
const situations = readFileSync(join(root, "docs/stuck.md"), "utf8")
  .split("\n")
  .flatMap((line) => /^- \*\*(.+)\*\*$/.exec(line)?.[1] ?? []);

test("docs/stuck.md has an entry for each reason why a rollout is Paused, Waiting or Stuck, and for no other one", () => {
  const described = situations
    .filter((situation) => /^(?:Paused|Waiting|Stuck),/.test(situation))
    .flatMap((situation) => [...situation.matchAll(/`([a-z-]+)`/g)].map(([, reason = ""]) => reason));
  assert.deepEqual([...new Set(described)].toSorted(), [...pauseReasons].toSorted());
});

test("each message that docs/stuck.md quotes is one of the engine's", () => {
  const files = globSync("src/{rollout,api/serin}/**/*.ts", { cwd: root }).filter((file) => !file.includes(".test."));
  const sources = files.map((file) => readFileSync(join(root, file), "utf8")).join("\n");
  const quoted = situations.flatMap((situation) =>
    [...situation.matchAll(/"([^"]+)"/g)].flatMap(([, message = ""]) => message.split("…").map((part) => part.trim())),
  );
  assert.ok(quoted.length > 5);
  assert.deepEqual(
    quoted.filter((part) => !sources.includes(part)),
    [],
  );
});
