import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "yaml";
import { suspicion } from "../testing/index.ts";
import { plainScalar, readForKubernetes } from "./index.ts";

const values: readonly (readonly [string, unknown])[] = [
  ["yes", true],
  ["Y", true],
  ["On", true],
  ["no", false],
  ["n", false],
  ["OFF", false],
  ["oN", "oN"],
  ["0644", 420],
  ["-010", -8],
  ["08", 8],
  ["0o17", 15],
  ["0b11", 3],
  ["0x1F", 31],
  ["0x_", "0x_"],
  ["1_000", 1000],
  ["1e3", 1000],
  [".5", 0.5],
  ["1.", 1],
  ["e5", "e5"],
  [".", "."],
  ["_1", "_1"],
  ["1e1000", "1e1000"],
  [".inf", Infinity],
  ["-.Inf", -Infinity],
  [".NaN", NaN],
  [".iNF", ".iNF"],
  ["22:22", "22:22"],
  ["2024-01-01", "2024-01-01"],
  ["1.2.3", "1.2.3"],
  ["~", null],
];

test("unquoted texts have the values that kubectl and istioctl read", () => {
  for (const [text, value] of values) {
    assert.deepEqual(parse(`k: ${text}`, readForKubernetes), { k: value }, text);
    assert.equal(plainScalar(text), value, text);
  }
  assert.deepEqual(parse('k: "yes"', readForKubernetes), { k: "yes" });
});

test("keys are texts of their values, and << merges a map", () => {
  assert.deepEqual(parse("yes: 1\n0644: 2\noff: 3", readForKubernetes), { true: 1, 420: 2, false: 3 });
  assert.deepEqual(parse("a: &a {b: 1}\nc: {<<: *a, d: 2}", readForKubernetes), { a: { b: 1 }, c: { b: 1, d: 2 } });
});

test("a warning of the reader does not reach standard error, and an error throws", async () => {
  const warnings: Error[] = [];
  const listen = (warning: Error): void => void warnings.push(warning);
  process.on("warning", listen);
  // The package itself would warn of an unknown tag, and of a list as a key.
  assert.deepEqual(parse("a: !secret b", readForKubernetes), { a: "b" });
  assert.deepEqual(parse("? [a]\n: b", readForKubernetes), { "[ a ]": "b" });
  await new Promise((resolve) => setImmediate(resolve));
  process.off("warning", listen);
  assert.deepEqual(warnings, []);
  assert.throws(() => parse("a: [", readForKubernetes), /Flow sequence/);
});

test("a text that begins like a number is read in linear time, because authors of objects write YAML in annotations", () => {
  for (const digit of ["0", "1", "_"])
    assert.equal(
      suspicion(
        (text: string) => parse(text, readForKubernetes) as unknown,
        (size) => `a: 1${digit.repeat(size)}x`,
        32_000,
      ),
      undefined,
      digit,
    );
});
