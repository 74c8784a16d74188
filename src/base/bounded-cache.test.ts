import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { AgingCache, BoundedCache } from "./bounded-cache.ts";

suite("a bounded cache", () => {
  test("a new key empties a full cache, and is then in it", () => {
    const cache = new BoundedCache<string, number>(2);
    cache.set("a", 1).set("b", 2);
    assert.deepEqual(
      [...cache],
      [
        ["a", 1],
        ["b", 2],
      ],
    );
    cache.set("c", 3);
    assert.deepEqual([...cache], [["c", 3]]);
  });

  test("a known key gets its new value and leaves the others", () => {
    const cache = new BoundedCache<string, number>(2);
    cache.set("a", 1).set("b", 2).set("a", 3);
    assert.deepEqual(
      [...cache],
      [
        ["a", 3],
        ["b", 2],
      ],
    );
  });
});

test("a new key of an aging cache replaces the oldest one, and a value that is set again is the youngest", () => {
  const cache = new AgingCache<string, number>(2);
  cache.set("a", 1).set("b", 2).set("a", 3);
  cache.get("b");
  cache.set("c", 4);
  assert.deepEqual(
    [...cache],
    [
      ["a", 3],
      ["c", 4],
    ],
  );
});
