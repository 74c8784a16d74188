import assert from "node:assert/strict";
import { test } from "node:test";
import { deliver, expandFront, KeptChunk, ReadBuffer, readBufferOf } from "./read-buffer.ts";

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
