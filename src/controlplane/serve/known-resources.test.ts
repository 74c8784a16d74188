import assert from "node:assert/strict";
import { test } from "node:test";
import type { EncodedResource } from "../translate/index.ts";
import { KnownResources } from "./known-resources.ts";

const bytes = new Uint8Array(0);
const resource = (name: string, version: string): EncodedResource => ({ name, version, any: bytes, delta: bytes });
const shown = (known: KnownResources): Record<string, string | undefined> =>
  Object.fromEntries([...known.names()].sort().map((name) => [name, known.get(name)]));

test("a client's known resources are the same whether a shared list or its own entries record them", () => {
  const known = new KnownResources();
  for (const name of ["a", "b", "own"]) known.set(name, "1");
  known.share([[resource("a", "1"), resource("b", "2")], [resource("c", "1")]]);
  assert.deepEqual(
    [shown(known), known.size],
    [{ a: "1", b: "1", own: "1" }, 3],
    "a list tells nothing that the client was not sent",
  );
  known.set("b", "2");
  known.set("c", "3");
  known.delete("a");
  known.delete("nobody");
  assert.deepEqual([shown(known), known.size], [{ b: "2", c: "3", own: "1" }, 3]);
  known.set("a", "1");
  known.delete("own");
  assert.deepEqual([shown(known), known.size], [{ a: "1", b: "2", c: "3" }, 3]);
});

test("a client without resources knows those of its first lists, and later changes like any other client", () => {
  const known = new KnownResources();
  assert.ok(known.begin([[resource("a", "1")], [resource("b", "2"), resource("c", "1")]]));
  assert.deepEqual([shown(known), known.size], [{ a: "1", b: "2", c: "1" }, 3]);
  known.set("a", "2");
  known.delete("b");
  known.set("d", "1");
  assert.deepEqual([shown(known), known.size], [{ a: "2", c: "1", d: "1" }, 3]);
  assert.equal(known.begin([[resource("e", "1")]]), false);
  assert.deepEqual([shown(known), known.size], [{ a: "2", c: "1", d: "1" }, 3]);
});

test("lists with a name in common are not shared, because a client has one version of each name", () => {
  const known = new KnownResources();
  assert.equal(known.begin([[resource("a", "1")], [resource("a", "2"), resource("b", "1")]]), false);
  assert.deepEqual([shown(known), known.size], [{}, 0]);
});
