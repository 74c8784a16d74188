import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createLogger, systemClock } from "../../base/index.ts";
import { ManagedChild } from "./managed-child.ts";

test("a process that the kernel refuses to start is started again until it runs", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "serin-managed-child-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const program = join(directory, "program");
  let refused = 0;
  const messages: unknown[] = [];
  const { promise: running, resolve: runs } = Promise.withResolvers<void>();
  const child = new ManagedChild({
    name: "node",
    program,
    args: [],
    environment: {},
    namespace: { enter: (body) => body() },
    descriptors: [],
    log: createLogger({
      scope: "test",
      write: (line) => {
        if (!line.includes("a process cannot be started")) return;
        refused += 1;
        if (refused < 2) return;
        writeFileSync(program, `#!${process.execPath}\nprocess.send({ ready: true });\n`);
        chmodSync(program, 0o755);
      },
    }),
    clock: systemClock,
    onMessage: (message) => {
      messages.push(message);
      child.abandon();
      runs();
    },
  });
  child.start();
  await running;
  assert.deepEqual(messages, [{ ready: true }]);
  assert.equal(refused, 2);
});
