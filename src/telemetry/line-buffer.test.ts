import assert from "node:assert/strict";
import { test } from "node:test";
import { LineBuffer } from "./line-buffer.ts";

test("texts, pieces and numbers of any length appear in a line unchanged", () => {
  const numbers = [0, 1, 9, 10, 99, 100, 1024, 999_999_999, 1_000_000_000, 2 ** 40, Number.MAX_SAFE_INTEGER, -1];
  const buffer = new LineBuffer(4096);
  buffer.begin();
  for (const number of numbers) {
    buffer.count(number);
    buffer.piece(Buffer.from(" "));
  }
  for (const length of [0, 1, 8, 9, 300]) buffer.piece(Buffer.from("p".repeat(length)));
  for (const length of [0, 1, 8, 9, 300]) buffer.latin1("\u00e9".repeat(length));
  buffer.piece(Buffer.from("abcdef"), 2, 4);
  buffer.piece(Buffer.from("p".repeat(200)), 50, 150);
  buffer.text("é€\n");
  buffer.keep();
  const expected = Buffer.concat([
    Buffer.from(`${numbers.map((number) => (number < 0 ? "-" : String(number))).join(" ")} ${"p".repeat(318)}`),
    Buffer.alloc(318, 0xe9),
    Buffer.from(`cd${"p".repeat(100)}é€\n`),
  ]);
  assert.deepEqual(buffer.lines(), expected);
});

test("a line that does not fit leaves the previous ones unchanged", () => {
  const fills: readonly ((buffer: LineBuffer) => void)[] = [
    (buffer) => buffer.piece(Buffer.alloc(9)),
    (buffer) => buffer.latin1("123456789"),
    (buffer) => buffer.text("123"),
    (buffer) => buffer.count(7),
    (buffer) => buffer.piece(Buffer.alloc(5)),
  ];
  for (const fill of fills) {
    const buffer = new LineBuffer(8);
    buffer.begin().latin1("four");
    buffer.keep();
    fill(buffer.begin());
    buffer.latin1("x");
    assert.equal(buffer.isFull, true);
    assert.equal(buffer.lines().toString(), "four");
    buffer.begin().latin1("more");
    assert.equal(buffer.isFull, false);
    buffer.keep();
    assert.equal(buffer.lines().toString(), "fourmore");
  }
});
