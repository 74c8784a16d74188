import assert from "node:assert/strict";
import { test } from "node:test";
import { Reader } from "./reader.ts";

test("a reader collects every error with its path", () => {
  const reader = new Reader({ replicas: "two", ports: [{ port: 0 }, { port: 80 }], extra: 1 }, "spec");
  reader.integer("replicas");
  const ports = reader.list("ports").map((port) => port.integer("port", 1, 65_535));
  reader.unknownFields();
  const parsed = reader.finish(() => ports);
  assert.deepEqual(
    parsed.errors.map((issue) => issue.path),
    ["spec.replicas", "spec.ports[0].port", "spec.extra"],
  );
  assert.equal(parsed.value, undefined);
});

test("a valid value has no errors", () => {
  const reader = new Reader({ mode: "fast", names: ["a", "b"] });
  const mode = reader.oneOf("mode", ["fast", "slow"]);
  const names = reader.strings("names");
  assert.deepEqual(reader.finish(() => ({ mode, names })).value, { mode: "fast", names: ["a", "b"] });
});

test("a value of any form may have a hundred levels, and a deeper one is reported without an overflow", () => {
  const nested = (levels: number): unknown => {
    let value: unknown = 1;
    for (let level = 0; level < levels; level += 1) value = level % 2 === 0 ? [value] : { a: value };
    return value;
  };
  const reader = new Reader({ good: { a: nested(99) }, bad: { a: nested(100) }, worse: { a: nested(100_000) } });
  assert.notEqual(reader.freeForm("good"), undefined);
  for (const field of ["bad", "worse"]) assert.equal(reader.freeForm(field), undefined);
  assert.equal(reader.freeForm("absent"), undefined);
  assert.equal(reader.string("worse"), undefined);
  assert.deepEqual(
    reader.finish(() => undefined).errors.map(({ path, message }) => `${path}: ${message}`),
    [
      "bad: must be nested at most 100 levels deep",
      "worse: must be nested at most 100 levels deep",
      "worse: must be a string, got a value of more than 100 levels",
    ],
  );
});

test("a text with half of a surrogate pair is reported, because no encoder of protobuf takes it", () => {
  const reader = new Reader({
    name: "a\ud800",
    whole: "😀",
    list: ["a", "\udc00"],
    map: { "\ud800": "b", c: "\udfff" },
  });
  const read = [reader.string("name"), reader.string("whole"), reader.strings("list"), reader.stringMap("map")];
  assert.deepEqual(read, [undefined, "😀", ["a"], {}]);
  assert.deepEqual(
    reader.finish(() => undefined).errors.map(({ path, message }) => `${path} ${message.slice(0, 33)}`),
    ["name", "list[1]", "map.\ufffd", "map.c"].map((path) => `${path} must not contain half of a charac`),
  );
});

test("a map keeps a key that objects inherit, such as __proto__", () => {
  const labels = JSON.parse('{"__proto__": "a", "constructor": "b"}') as unknown;
  assert.deepEqual(Object.entries(new Reader({ labels }).stringMap("labels")), [
    ["__proto__", "a"],
    ["constructor", "b"],
  ]);
});
