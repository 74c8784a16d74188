import assert from "node:assert/strict";
import { test } from "node:test";
import { collectGarbage } from "../../base/testing/index.ts";
import { boundedBody } from "./module-source.ts";

test("a module that arrives in single bytes takes about the memory of its bytes", async () => {
  const count = 300_000;
  const used = (): number => {
    collectGarbage("all");
    return process.memoryUsage().heapUsed;
  };
  const before = used();
  let grown = 0;
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (let index = 0; index < count; index += 1) yield Uint8Array.of(index);
    grown = used() - before;
  }
  const body = pieces() as unknown as Response["body"];
  assert.equal((await boundedBody({ body, url: "https://modules.test/a.wasm" }, count)).length, count);
  assert.ok(grown < 100 * count, `${grown} bytes for ${count}`);
});

test("a module that is too long is refused, and no more of it is read", async () => {
  const body = (async function* (): AsyncGenerator<Uint8Array> {
    for (;;) yield await Promise.resolve(Buffer.alloc(10));
  })() as unknown as Response["body"];
  await assert.rejects(boundedBody({ body, url: "https://modules.test/a.wasm" }, 100), /has more than 100 bytes/);
});
