import assert from "node:assert/strict";
import { test } from "node:test";
import { JsonPath } from "./json-path.ts";

test("a path finds the values at its fields, indexes, filters and descendants", () => {
  const pod = {
    spec: {
      containers: [
        { name: "web", image: "a" },
        { name: "proxy", image: "b" },
      ],
    },
  };
  const found = (path: string): unknown[] => JsonPath.parse(path).find(pod);
  assert.deepEqual(found(".spec.containers[*].name"), ["web", "proxy"]);
  assert.deepEqual(found('.spec.containers[?(@.name=="proxy")].image'), ["b"]);
  assert.deepEqual(found("{..image}"), ["a", "b"]);
  assert.deepEqual(found(".spec.containers[-1]['name','image']"), ["proxy", "b"]);
});

test("a path that would visit more than 100,000 values has no value", () => {
  const nested = (depth: number): object => (depth === 0 ? {} : { a: nested(depth - 1) });
  const chain = (length: number): JsonPath => JsonPath.parse("..a".repeat(length));
  assert.equal(chain(3).find(nested(5)).length, 10);
  assert.deepEqual(chain(30).find(nested(60)), []);
  assert.deepEqual(JsonPath.parse("['a','a']".repeat(30)).find(nested(30)), []);
  const items = Array.from({ length: 400 }, (_, index) => index);
  assert.equal(JsonPath.parse(".x[?(@[?(@)])]").find({ x: items.map(() => items) }).length, 0);
});

test("filters that are nested too deep are refused", () => {
  const filters = (depth: number): string => (depth === 0 ? "@.a" : `@[?(${filters(depth - 1)})]`);
  JsonPath.parse(filters(8));
  assert.throws(() => JsonPath.parse(filters(9)), /filters are nested more than 8 deep/);
});
