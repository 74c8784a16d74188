import assert from "node:assert/strict";
import { test } from "node:test";
import * as yaml from "yaml";
import { documentsForKubernetes, valueForKubernetes } from "./read-yaml.ts";

/** Texts with the values that kubectl 1.32 reads. */
const values: readonly (readonly [string, unknown])[] = [
  ["[2001:db8::]", ["2001:db8::"]],
  ["[2001:db8::, b]", ["2001:db8::", "b"]],
  ["[ 2001:db8:: ]", [{ "2001:db8:": null }]],
  ["[fe80::]", ["fe80::"]],
  ['["a": b]', [{ a: "b" }]],
  ['["a":b]', [{ a: "b" }]],
  ['["a":]', [{ a: null }]],
  ["[a: b]", [{ a: "b" }]],
  ["[a:b]", ["a:b"]],
  ["[a:]", ["a:"]],
  ["[http://x:]", ["http://x:"]],
  ["{a: 2001:db8::}", { a: "2001:db8::" }],
  ["{a: [2001:db8::, {b: c:}], d: e}", { a: ["2001:db8::", { b: "c:" }], d: "e" }],
  ["{a:: b}", { "a:": "b" }],
  ["{2001:db8::: b}", { "2001:db8::": "b" }],
  ["[a:: b]", [{ "a:": "b" }]],
  ["{a:}", { "a:": null }],
  ["[a:,b]", ["a:", "b"]],
  ["[x: ]", [{ x: null }]],
  ["[a : ]", [{ a: null }]],
  ["[a:\n]", [{ a: null }]],
  ["'[a:]'", "[a:]"],
  ['{a: "b:]", c: d}', { a: "b:]", c: "d" }],
];

test("a colon at the end of an unquoted text in a list or map belongs to the text, as for kubectl", () => {
  for (const [text, value] of values) {
    assert.deepEqual(valueForKubernetes(yaml, `k: ${text}`), { k: value }, text);
    const [document] = documentsForKubernetes(yaml, `k: ${text}\n---\nx: [y:]\n`);
    assert.deepEqual(document?.toJS(), { k: value }, text);
  }
});

test("errors and offsets are those of the original text", () => {
  const lineCounter = new yaml.LineCounter();
  const text = "a: [2001:db8::]\nb:\n  - {c: d:, e: f}\n";
  const [document] = documentsForKubernetes(yaml, text, { lineCounter, prettyErrors: false });
  const node = document?.getIn(["b", 0, "e"], true) as yaml.Scalar;
  assert.equal(text.slice(...((node.range ?? [0, 0]).slice(0, 2) as [number, number])), "f");
  assert.deepEqual(lineCounter.linePos(node.range?.[0] ?? 0), { line: 3, col: 16 });
  assert.throws(() => valueForKubernetes(yaml, "a: [b:, c"), /Flow sequence .* at line 1/s);
  assert.match(documentsForKubernetes(yaml, "a: [b:, c")[0]?.errors[0]?.message ?? "", /at line 1/);
  assert.throws(() => valueForKubernetes(yaml, "a: [b:]\n---\nc: d"), /multiple documents/);
  assert.equal(valueForKubernetes(yaml, ""), null);
});
