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
