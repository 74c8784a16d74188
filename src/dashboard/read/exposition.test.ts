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

test("values are parsed in every notation: integers, fractions, exponents, inexact ones, with timestamps, at the end", () => {
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

test("lines without a finite number, a sample or a value are skipped", () => {
  assert.deepEqual(
    read('# a 1\na NaN\na +Inf\na -Inf\na Infinity\na{x="1"}\na{x="1"\na\n\n   \n\u0000\u0001\na{} x\nb 2\r\n').samples,
    [["b", 2]],
  );
});

test("a label's value may contain braces, spaces, escaped quotes and other characters, and is read unchanged", () => {
  const line = String.raw`a{x="{} \"q\" \\ \n",y="größe 日本"} 3`;
  const { samples } = read(line);
  assert.deepEqual(
    samples.map(([series, value]) => [parseSeries(series).labels, value]),
    [[{ x: '{} "q" \\ \n', y: "größe 日本" }, 3]],
  );
});

test("a series is recognized in another order and place, and differs from its neighbours", () => {
  const lines = Array.from({ length: 2000 }, (_, index) => `a{x="${index}"} ${index}`);
  const { ids } = read(lines.join("\n"));
  assert.equal(new Set(ids).size, lines.length);
  assert.deepEqual(read(lines.toReversed().join("\n")).ids.toReversed(), ids);
});

test("lines that are crafted for repeated parsing are read once: endless, with a long name, or with open quotes", () => {
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
