import assert from "node:assert/strict";
import { test } from "node:test";
import { colorYaml } from "./yaml-tokens.ts";

const yaml = `# what it is
apiVersion: v1
metadata:
  name: "shop"
  labels: {app: shop}
spec:
  replicas: 3
  rules:
    - host: a.b:80
      weight: 10
    - on: true
  script: |
    echo "x: y" # no comment
`;

test("no character of the YAML is lost or added", () => {
  assert.equal(
    colorYaml(yaml)
      .map(({ text }) => text)
      .join(""),
    yaml,
  );
  for (const odd of ["", "\n", ":", "- - a: b", "a:b", "\t'x", '{"a": 1}'])
    assert.equal(
      colorYaml(odd)
        .map(({ text }) => text)
        .join(""),
      odd,
    );
});

test("keys, strings, numbers and comments are distinguished", () => {
  const of = (kind: string): string[] =>
    colorYaml(yaml)
      .filter((token) => token.kind === kind)
      .map(({ text }) => text.trim());
  assert.deepEqual(of("key"), [
    "apiVersion",
    "metadata",
    "name",
    "labels",
    "spec",
    "replicas",
    "rules",
    "host",
    "weight",
    "on",
    "script",
  ]);
  assert.deepEqual(of("scalar"), ["3", "10", "true"]);
  assert.deepEqual(of("text"), ['"shop"']);
  assert.deepEqual(of("comment"), ["# what it is"]);
});
