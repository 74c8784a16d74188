import assert from "node:assert/strict";
import { test } from "node:test";
import { deliver, expandFront, holdChunk, ReadBuffer } from "./read-buffer.ts";

test("a held buffer is not used again before its release", () => {
  const buffer = ReadBuffer.take(0);
  let hold: Disposable | undefined;
  deliver(buffer, 0, buffer.area.subarray(0, 10), (chunk) => {
    hold = holdChunk(chunk.subarray(3));
  });
  assert.ok(hold !== undefined && buffer.held);
  buffer.disown();
  const next = ReadBuffer.take(0);
  assert.notEqual(next, buffer);
  hold[Symbol.dispose]();
  hold[Symbol.dispose]();
  assert.equal(ReadBuffer.take(0), buffer);
  next.disown();
});

test("a frame's header can be put in front of a chunk in place", () => {
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
  assert.equal(holdChunk(Buffer.from("own")), undefined);
  buffer.disown();
});
