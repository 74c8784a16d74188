import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../base/index.ts";
import { AccessLog } from "./access-log.ts";

test("lines arrive whole and in order, and those beyond the buffers are dropped and counted", async () => {
  const written: string[] = [];
  let release: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (release = resolve));
  const troubles: string[] = [];
  const log = new AccessLog({
    clock: systemClock,
    bufferBytes: 64,
    onTrouble: (message) => troubles.push(message),
    sink: {
      async write(bytes) {
        await gate;
        written.push(Buffer.from(bytes).toString());
      },
    },
  });
  for (let index = 0; index < 40; index += 1) log.line(`line ${index}\n`);
  release();
  await log.flush();
  const lines = written.join("").trimEnd().split("\n");
  assert.equal(lines.length + log.droppedLines, 40);
  assert.ok(log.droppedLines > 0);
  assert.deepEqual(lines, lines.map((_, index) => `line ${index}`));
  assert.equal(troubles.length, 1);
});
