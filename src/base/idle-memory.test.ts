import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { test } from "node:test";

/** Fills and drops 20 MB, and is idle from then on. */
const program = `
import { giveBackIdleMemory } from ${JSON.stringify(import.meta.resolve("./idle-memory.ts"))};
giveBackIdleMemory(1);
let kept = Array.from({ length: 200_000 }, (_, index) => ({ index, text: String(index) }));
kept = undefined;
setInterval(() => undefined, 1_000);
`;
/** V8 prints this line in the same moment as the next one, if it wants another look. */
const look = /Memory reducer: (low|high) alloc/;

test("an idle process collects its heap once, and V8's memory reducer does not collect it again", async () => {
  const child = spawn(
    process.execPath,
    ["--trace-gc", "--trace-memory-reducer", "--input-type=module", "--eval", program],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const afterCollection: string[] = [];
  let isCollected = false;
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.includes("testing")) isCollected = true;
    else if (isCollected) afterCollection.push(line);
    if (isCollected && look.test(line)) setTimeout(() => child.kill(), 300);
  }
  const expected = afterCollection.filter((line) => look.test(line));
  assert.equal(expected.length, 1, `the reducer did not look again:\n${afterCollection.join("\n")}`);
  assert.deepEqual(afterCollection, expected);
});
