import assert from "node:assert/strict";
import { test } from "node:test";
import { array, assert as assertProperty, constantFrom, dictionary, property, string } from "fast-check";
import { lengthOfHead, parsePrometheus, readSampleText, readValue } from "./parse-prometheus.ts";

const name = constantFrom("requests_total", "a:b", "_x");
const label = constantFrom("path", "code", "le");
const escaped = (value: string): string => JSON.stringify(value.replaceAll("\n", " "));

test("labels may have the names of what every object inherits", () => {
  const [sample] = parsePrometheus('a{__proto__="x",constructor="y"} 1\n').samples;
  assert.deepEqual(Object.entries(sample?.labels ?? {}), [
    ["__proto__", "x"],
    ["constructor", "y"],
  ]);
});

test("the head of a sample ends where its labels end, whatever they contain", () => {
  assertProperty(
    property(
      name,
      dictionary(label, string({ maxLength: 12 })),
      array(constantFrom(" ", "\t"), { minLength: 1, maxLength: 3 }),
      constantFrom("1", "-2.5e3", "+Inf", "NaN 17", '3 17 # {trace_id="}"} 1'),
      (metric, labels, blanks, value) => {
        const pairs = Object.entries(labels).map(([key, text]) => `${key}=${escaped(text)}`);
        const head = pairs.length === 0 ? metric : `${metric}{${pairs.join(",")}}`;
        const line = `${head}${blanks.join("")}${value}`;
        assert.equal(lengthOfHead(line), head.length);
        const read = readSampleText(line, 1);
        assert.equal(read.head, head);
        const { value: number, timestamp } = readValue(line, head.length, 1);
        assert.ok(Object.is(number, Number(read.value.replace("+Inf", "Infinity"))));
        assert.equal(timestamp, read.timestamp === undefined ? undefined : Number(read.timestamp));
      },
    ),
  );
});

test("a line with many numbers is not split further than its timestamp", (context) => {
  const split = context.mock.method(String.prototype, "split");
  assert.deepEqual(readValue(`a ${"10 ".repeat(1_000)}`, 1, 1), { value: 10, timestamp: 10 });
  assert.deepEqual(
    split.mock.calls.map(({ result }) => result?.length),
    [2],
  );
});
