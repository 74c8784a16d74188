import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { untilLine } from "./until-line.ts";

test("a change that a watch did not print is found by the next watch", async () => {
  let watches = 0;
  const lab = {
    spawnInShell: () => {
      watches += 1;
      return spawn("sh", ["-c", `echo ${watches === 1 ? "before" : "after"}; exec sleep 60`]);
    },
  };
  const line = await untilLine(
    lab,
    { condition: "the change is printed", command: [], timeoutMs: 60_000, watchMs: 200 },
    (text) => text === "after",
  );
  assert.deepEqual([line, watches], ["after", 2]);
});
