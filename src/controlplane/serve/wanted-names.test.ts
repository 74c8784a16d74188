import assert from "node:assert/strict";
import { test } from "node:test";
import type { EncodedResource } from "../translate/index.ts";
import type { ResourceView } from "./resource-views/resource-view.ts";
import { WantedNames } from "./wanted-names.ts";

const all = Array.from({ length: 100 }, (_, index): EncodedResource => ({
  name: `r${index}`,
  version: "1",
  any: new Uint8Array(),
  delta: new Uint8Array(),
}));
const view: ResourceView = {
  get: (name) => all.find((resource) => resource.name === name),
  all: () => all,
  groups: () => [all],
  subscribe: () => ({ [Symbol.dispose]: () => undefined }),
};
const everything = all.map(({ name }) => name);

function wanted(names: readonly string[]): WantedNames {
  const found = new WantedNames();
  found.addAll(names, view);
  return found;
}

test("a client that requests everything and further names wants exactly that", () => {
  const names = wanted([...everything, "other", "other"]);
  assert.equal(names.size, 101);
  assert.deepEqual([...names].sort(), [...everything, "other"].sort());
});

test("the other clients still want a name that one client drops", () => {
  const [one, other] = [wanted(everything), wanted(everything)];
  one.delete("r7");
  one.delete("r7");
  assert.ok(!one.has("r7") && other.has("r7"));
  assert.equal(one.size, 99);
  one.add("r7");
  one.add("r7");
  assert.deepEqual([one.size, [...one].length, one.has("r7")], [100, 100, true]);
});

test("a client that dropped everything wants only the names that it requests afterwards", () => {
  const names = wanted(everything);
  for (const name of everything) names.delete(name);
  assert.equal(names.size, 0);
  names.addAll(["r1", "new"], view);
  assert.deepEqual([...names].sort(), ["new", "r1"]);
  for (const name of names) names.delete(name);
  names.addAll(everything, view);
  assert.equal(names.size, 100);
});

test("a client that requests some names wants only those", () => {
  assert.deepEqual([...wanted(everything.slice(0, 80))], everything.slice(0, 80));
});
