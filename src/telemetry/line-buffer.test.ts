import assert from "node:assert/strict";
import { test } from "node:test";
import { LineBuffer } from "./line-buffer.ts";

test("texts and pieces of any length appear in a line unchanged", () => {
  const buffer = new LineBuffer(4096);
  buffer.begin();
  for (const length of [0, 1, 8, 9, 300]) buffer.piece(Buffer.from("p".repeat(length)));
  buffer.piece(Buffer.from([0xe9, 0xff]));
  buffer.text("é€\n");
  buffer.keep();
  assert.deepEqual(
    buffer.lines(),
    Buffer.concat([Buffer.from("p".repeat(318)), Buffer.from([0xe9, 0xff]), Buffer.from("é€\n")]),
  );
});

test("a line that does not fit leaves the previous ones unchanged", () => {
  const fills: readonly ((buffer: LineBuffer) => void)[] = [
    (buffer) => buffer.piece(Buffer.alloc(9)),
    (buffer) => buffer.text("123"),
    (buffer) => buffer.piece(Buffer.alloc(5)),
  ];
  for (const fill of fills) {
    const buffer = new LineBuffer(8);
    buffer.begin().piece(Buffer.from("four"));
    buffer.keep();
    fill(buffer.begin());
    buffer.piece(Buffer.from("x"));
    assert.equal(buffer.isFull, true);
    assert.equal(buffer.lines().toString(), "four");
    buffer.begin().piece(Buffer.from("more"));
    assert.equal(buffer.isFull, false);
    buffer.keep();
    assert.equal(buffer.lines().toString(), "fourmore");
  }
});
