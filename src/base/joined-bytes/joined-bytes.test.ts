import assert from "node:assert/strict";
import { test } from "node:test";
import { JoinedBytes, readBytes } from "./index.ts";

const tooLong = (): Error => new Error("too long");

test("pieces of any size are joined in one piece of memory, which is at most twice as large", async () => {
  const pieces = [0, 1, 5000, 1, 1, 20_000, 3].map((size, index) => Buffer.alloc(size, index));
  const joined = await readBytes(pieces, 30_000, tooLong);
  assert.ok(joined.equals(Buffer.concat(pieces)));
  assert.ok(joined.buffer.byteLength <= 2 * joined.length);
});

test("bytes that were read before stay as they are when others follow", () => {
  const joined = new JoinedBytes();
  joined.add(Buffer.from("ab"));
  const before = joined.view();
  joined.add(Buffer.alloc(10_000, "c"));
  assert.equal(before.toString(), "ab");
  assert.equal(joined.view().toString("latin1", 0, 4), "abcc");
});

test("a body that is too long is refused, and no more of it is read", async () => {
  let [given, isStopped] = [0, false];
  async function* endless(): AsyncGenerator<Buffer> {
    try {
      for (;;) {
        given += 1;
        await Promise.resolve();
        yield Buffer.alloc(1);
      }
    } finally {
      isStopped = true;
    }
  }
  await assert.rejects(readBytes(endless(), 100, tooLong), /too long/);
  assert.deepEqual([given, isStopped], [101, true]);
  assert.equal((await readBytes([Buffer.alloc(100)], 100, tooLong)).length, 100);
});

test("bytes that were taken are the taker's alone", () => {
  const joined = new JoinedBytes();
  joined.add(Buffer.from("ab"));
  const taken = joined.take();
  assert.equal(joined.view().length, 0);
  joined.add(Buffer.from("c"));
  assert.deepEqual([taken.toString(), joined.view().toString()], ["ab", "c"]);
});
