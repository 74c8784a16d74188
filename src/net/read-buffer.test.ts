import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { ChunkQueue, deliver, expandFront, KeptChunk, ReadBuffer, readBufferOf } from "./read-buffer.ts";

test("a kept chunk's memory is not reused before its release", () => {
  const buffer = ReadBuffer.take(1);
  buffer.area.write("payload");
  let kept: KeptChunk | undefined;
  deliver(buffer, 0, buffer.area.subarray(0, 40_000), (chunk) => {
    kept = new KeptChunk(chunk.subarray(3));
  });
  assert.ok(kept !== undefined && buffer.held);
  buffer.disown();
  const next = ReadBuffer.take(1);
  assert.notEqual(next, buffer);
  assert.equal(kept.bytes.toString("latin1", 0, 4), "load");
  kept.skip(1);
  kept.deliver((chunk) => {
    assert.equal(chunk.toString("latin1", 0, 3), "oad");
    assert.equal(readBufferOf(chunk), buffer, "who gets it can keep it again");
    assert.equal(expandFront(chunk, 1), undefined);
  });
  kept.release();
  kept.release();
  assert.equal(ReadBuffer.take(1), buffer);
  next.disown();
});

test("a few kept bytes are copied, and retain no buffer", () => {
  const buffer = ReadBuffer.take(1);
  buffer.area.write("few");
  let kept: KeptChunk | undefined;
  deliver(buffer, 0, buffer.area.subarray(0, 3), (chunk) => {
    kept = new KeptChunk(chunk);
  });
  assert.ok(kept !== undefined && !buffer.held);
  buffer.area.write("new");
  assert.equal(kept.bytes.toString(), "few");
  buffer.disown();
});

test("a frame's header can be prepended to a chunk in place", () => {
  const buffer = ReadBuffer.take(0);
  buffer.area.write("payload");
  deliver(buffer, 0, buffer.area.subarray(0, 7), (chunk) => {
    const framed = expandFront(chunk, 3);
    framed?.write("hdr");
    assert.equal(framed?.toString(), "hdrpayload");
    assert.equal(expandFront(chunk.subarray(1), 3), undefined, "only the chunk's own front is free");
    assert.equal(expandFront(chunk, 17), undefined);
  });
  assert.equal(expandFront(buffer.area.subarray(0, 7), 3), undefined, "nothing is free after the delivery");
  buffer.disown();
});

function piecesOf(queue: ChunkQueue): number {
  let pieces = 0;
  for (let chunk = queue.shift(); chunk !== undefined; chunk = queue.shift()) {
    pieces += 1;
    chunk.release();
  }
  return pieces;
}

test("single bytes share memory, so that a peer that sends them costs little more than their number", () => {
  const queue = new ChunkQueue();
  const bytes = 262_144;
  for (let at = 0; at < bytes; at += 1) queue.push(Buffer.from([at & 0xff]));
  assert.ok(piecesOf(queue) <= bytes / 8192);
});

test("a chunk that is added later does not change bytes that were read or skipped before", () => {
  const queue = new ChunkQueue();
  queue.push(Buffer.from("abc"));
  queue.first?.skip(1);
  const read = queue.first?.bytes;
  queue.push(Buffer.from("d"));
  for (let count = 0; count < 100; count += 1) queue.push(Buffer.from("e"));
  assert.equal(read?.toString(), "bc");
  assert.equal(queue.takeAll().toString(), `bcd${"e".repeat(100)}`);
});

test("a large chunk stays in the memory into which it was read, also behind small ones", () => {
  const queue = new ChunkQueue();
  queue.push(Buffer.from("small"));
  const buffer = ReadBuffer.take(0);
  deliver(buffer, 0, buffer.area, (chunk) => queue.push(chunk));
  assert.ok(buffer.held);
  queue.push(Buffer.from("small"));
  assert.equal(queue.clear(), buffer.area.length + 10);
  assert.ok(!buffer.held && queue.isEmpty);
  buffer.disown();
});

test("chunks of any size leave in the order in which they came, whatever is taken in between", () => {
  const sizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 20_000 })), {
    maxLength: 60,
  });
  const steps = fc.array(fc.tuple(sizes, fc.nat(80)), { maxLength: 8 });
  fc.assert(
    fc.property(steps, (rounds) => {
      const queue = new ChunkQueue();
      const [given, taken]: [Buffer[], Buffer[]] = [[], []];
      let next = 0;
      for (const [round, count] of rounds) {
        for (const size of round) {
          const chunk = Buffer.alloc(size, (next += 1) % 251);
          given.push(Buffer.from(chunk));
          queue.push(chunk);
          // The chunk is valid only during the call.
          chunk.fill(255);
        }
        for (let index = 0; index < count; index += 1) {
          const chunk = queue.shift();
          if (chunk === undefined) break;
          assert.equal(queue.isLone && queue.isEmpty, false);
          taken.push(Buffer.from(chunk.bytes));
          chunk.release();
        }
      }
      taken.push(queue.takeAll());
      assert.ok(queue.isEmpty && queue.first === undefined);
      assert.ok(Buffer.concat(taken).equals(Buffer.concat(given)));
    }),
    { numRuns: 100 },
  );
});
