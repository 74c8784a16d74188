import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { ChunkedScanner } from "./chunked-scanner.ts";

function feed(bytes: Buffer, pieceBytes: number): { scanner: ChunkedScanner; used: number; data: Buffer } {
  const scanner = new ChunkedScanner();
  const data: Buffer[] = [];
  let used = 0;
  while (used < bytes.length && !scanner.done && !scanner.bad) {
    const end = Math.min(bytes.length, used + pieceBytes);
    used = scanner.scan(bytes, used, end, (from, to) => data.push(bytes.subarray(from, to)));
  }
  return { scanner, used, data: Buffer.concat(data) };
}

test("data and end are the same for any split", () => {
  const parts = fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 5 });
  fc.assert(
    fc.property(parts, fc.boolean(), fc.integer({ min: 1, max: 50 }), (chunks, trailers, piece) => {
      const encoded = Buffer.concat([
        ...chunks.flatMap((chunk) => [
          Buffer.from(`${chunk.length.toString(16)};x="y"\r\n`),
          chunk,
          Buffer.from("\r\n"),
        ]),
        Buffer.from(`0\r\n${trailers ? "a: b\r\nC-d:\r\n" : ""}\r\n`),
      ]);
      const { scanner, used, data } = feed(Buffer.concat([encoded, Buffer.from("GET /")]), piece);
      assert.ok(scanner.done);
      assert.equal(used, encoded.length);
      assert.deepEqual(data, Buffer.concat(chunks));
    }),
    { numRuns: 200 },
  );
});

const bad = [
  "\r\n",
  "g\r\n",
  "-1\r\n",
  "+1\r\na\r\n0\r\n\r\n",
  "0x1\r\na\r\n",
  "1 \r\na\r\n",
  " 1\r\na\r\n",
  "1\na\r\n",
  "1\r\nab\r\n",
  "1\r\na\n0\r\n\r\n",
  "1;a\nb\r\na\r\n",
  "1;\0\r\na\r\n",
  "fffffffffffff\r\n",
  "0\r\n\n",
  "0\r\n a: b\r\n\r\n",
  "0\r\nab\r\n\r\n",
  "0\r\na b: c\r\n\r\n",
  "0\r\na: b\n\r\n",
  "1\r\r\na\r\n",
  "0\r\n(a): b\r\n\r\n",
  "0\r\na@b: c\r\n\r\n",
  "0\r\n:a: b\r\n\r\n",
  "0\r\n\u00e9: b\r\n\r\n",
];

for (const text of bad) {
  test(`a chunked body is refused: ${JSON.stringify(text)}`, () => {
    for (const piece of [1, 1000]) assert.ok(feed(Buffer.from(text), piece).scanner.bad);
  });
}

test("endless size lines and trailers are refused", () => {
  assert.ok(feed(Buffer.from(`1;${"x".repeat(5000)}`), 1000).scanner.bad);
  assert.ok(feed(Buffer.from(`0\r\n${"a: b\r\n".repeat(4000)}`), 1000).scanner.bad);
});

test("extensions are refused once they are much longer than the data that they describe", () => {
  const chunks = (extension: number, data: number, count: number): Buffer =>
    Buffer.from(`${`${data.toString(16)};${"x".repeat(extension)}\r\n${"d".repeat(data)}\r\n`.repeat(count)}0\r\n\r\n`);
  for (const piece of [100, 1_000_000]) {
    const { scanner, used } = feed(chunks(4000, 1, 100), piece);
    assert.ok(scanner.bad);
    assert.ok(used < 6 * 4000, "after 16 KiB");
    // Extensions may be signatures, as clients of object stores send them, or short extensions of tiny chunks.
    assert.ok(feed(chunks(85, 8192, 1000), piece).scanner.done);
    assert.ok(feed(chunks(16, 1, 5000), piece).scanner.done);
  }
  const reused = new ChunkedScanner();
  for (let body = 0; body < 5; body += 1) {
    reused.reset();
    const bytes = chunks(4000, 1, 4);
    reused.scan(bytes, 0, bytes.length);
    assert.ok(reused.done, "each body counts for itself");
  }
});

test("small chunks of one read are passed together, and large ones without a copy", () => {
  const sizes = [1, 1, 1, 2000, 1, 600, 3, 40, ...Array<number>(20_000).fill(1)];
  const body = Buffer.from(Array.from({ length: sizes.reduce((sum, size) => sum + size) }, (_, at) => at % 251));
  let at = 0;
  const chunks = sizes.map((size) => {
    const data = body.subarray(at, (at += size));
    return Buffer.concat([Buffer.from(`${size.toString(16)}\r\n`), data, Buffer.from("\r\n")]);
  });
  const bytes = Buffer.concat([...chunks, Buffer.from("0\r\n\r\n")]);
  const parts: { readonly part: Buffer; readonly isCopy: boolean }[] = [];
  const scanner = new ChunkedScanner();
  const used = scanner.scanJoined(bytes, 0, bytes.length, (part, from, to) =>
    parts.push({ part: part.subarray(from, to), isCopy: part !== bytes }),
  );
  assert.deepEqual([used, scanner.done], [bytes.length, true]);
  assert.deepEqual(Buffer.concat(parts.map(({ part }) => part)), body, "no part was written over");
  assert.deepEqual(
    parts.map(({ part, isCopy }) => [part.length, isCopy]),
    [
      [3, true],
      [2000, false],
      [1, false],
      [600, false],
      [8192, true],
      [8192, true],
      [20_043 - 2 * 8192, true],
    ],
  );
  for (const pieceBytes of [1, 3, 7, 100, 4096]) {
    const again = new ChunkedScanner();
    const found: Buffer[] = [];
    for (let from = 0; from < bytes.length; from += pieceBytes)
      again.scanJoined(bytes, from, Math.min(bytes.length, from + pieceBytes), (part, start, end) =>
        found.push(Buffer.from(part.subarray(start, end))),
      );
    assert.deepEqual(Buffer.concat(found), body);
  }
});
