import assert from "node:assert/strict";
import { test } from "node:test";
import { ExpositionReader, parseSeries } from "./exposition.ts";

function read(text: string): { readonly samples: [string, number][]; readonly ids: number[] } {
  const samples: [string, number][] = [];
  const ids: number[] = [];
  const reader = new ExpositionReader(() => true);
  reader.begin(Buffer.from(text));
  while (reader.next()) {
    samples.push([reader.series(), reader.value]);
    ids.push(reader.id);
  }
  return { samples, ids };
}

test("values are read as numbers are written: whole, broken, with exponents, beyond what is exact, before a timestamp, and at the very end", () => {
  const { samples } = read(
    'a{x="1"} 12\nb 1.5\nc 1e+07 1700000000000\nd 12345678901234567890\ne  7 1700000000000\nf{} 0',
  );
  assert.deepEqual(samples, [
    ['a{x="1"}', 12],
    ["b", 1.5],
    ["c", 1e7],
    ["d", 12_345_678_901_234_567_000],
    ["e", 7],
    ["f{}", 0],
  ]);
});

test("what is no finite number, no sample, or has no value is left out", () => {
  assert.deepEqual(
    read('# a 1\na NaN\na +Inf\na -Inf\na Infinity\na{x="1"}\na{x="1"\na\n\n   \n\u0000\u0001\na{} x\nb 2\r\n').samples,
    [["b", 2]],
  );
});

test("a value of a label may hold braces, spaces, escaped quotes and other letters, and is read as it was", () => {
  const line = String.raw`a{x="{} \"q\" \\ \n",y="größe 日本"} 3`;
  const { samples } = read(line);
  assert.deepEqual(
    samples.map(([series, value]) => [parseSeries(series).labels, value]),
    [[{ x: '{} "q" \\ \n', y: "größe 日本" }, 3]],
  );
});

test("a series is known again in another order and place, and differs from those beside it", () => {
  const lines = Array.from({ length: 2000 }, (_, index) => `a{x="${index}"} ${index}`);
  const { ids } = read(lines.join("\n"));
  assert.equal(new Set(ids).size, lines.length);
  assert.deepEqual(read(lines.toReversed().join("\n")).ids.toReversed(), ids);
});

test("lines that are made to be read again and again are read once: without an end, with one name that never ends, with quotes that never close", () => {
  const size = 300_000;
  const reader = new ExpositionReader(() => true);
  const lines = [
    "a{\n".repeat(size),
    `a{${"x".repeat(size)}} 1`,
    `a{${',x="\\"'.repeat(size / 6)}} 1`,
    `a{${',x="\\"'.repeat(1000)}} 1`,
  ];
  const found = lines.flatMap((text) => {
    reader.begin(Buffer.from(text));
    return reader.next() ? [parseSeries(reader.series())] : [];
  });
  assert.deepEqual(
    found.map(({ name, labels }) => ({ name, labels })),
    [{ name: "a", labels: {} }],
  );
});
