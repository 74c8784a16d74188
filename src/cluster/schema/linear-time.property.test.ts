import assert from "node:assert/strict";
import { test } from "node:test";
import { suspicion } from "../../base/testing/index.ts";
import { compareValues, configurationFaults, mergeValues, toFieldSet } from "./apply/typed-value.ts";
import { BuiltInShapes } from "./built-in-shapes.ts";
import { validateValue } from "./crd/validate-value.ts";
import { wellFormedJson } from "./json.ts";
import { applyJsonPatch } from "./patch/json-patch.ts";
import { applyStrategicMergePatch } from "./patch/strategic-merge-patch.ts";

// The number of items in a test object. A request's body may have 3 MiB, which is tens of thousands of items.
const size = 6000;
const shapes = BuiltInShapes.load();
const podSpec = shapes.ofName("io.k8s.api.core.v1.PodSpec");
const meta = shapes.ofName("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");

const indexes = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
const containers = (count: number, from = 0): object => ({
  containers: indexes(count).map((index) => ({ name: `c${index + from}`, image: "a" })),
});
const finalizers = (count: number, from = 0): object => ({
  finalizers: indexes(count).map((index) => `a.b/c${index + from}`),
});

type Pair = readonly [Record<string, unknown>, Record<string, unknown>];
const pairs: Readonly<Record<string, (count: number) => Pair>> = {
  "objects that differ": (count) => [containers(count) as never, containers(count, count) as never],
  "objects of which half is new": (count) => [containers(count) as never, containers(count, count / 2) as never],
  "the same objects": (count) => [containers(count) as never, containers(count) as never],
};
const texts: Readonly<Record<string, (count: number) => Pair>> = {
  "texts that differ": (count) => [finalizers(count) as never, finalizers(count, count) as never],
  "the same texts": (count) => [finalizers(count) as never, finalizers(count) as never],
};
const deletions: Readonly<Record<string, (count: number) => Pair>> = {
  "objects to delete": (count) => [
    containers(count) as never,
    { containers: indexes(count).map((index) => ({ $patch: "delete", name: `c${index}` })) },
  ],
  "an order of all": (count) => [
    containers(count) as never,
    { "$setElementOrder/containers": indexes(count).map((index) => ({ name: `c${count - index}` })) },
  ],
  "fields to retain": (count) => [
    Object.fromEntries(indexes(count).map((index) => [`k${index}`, 1])),
    { $retainKeys: indexes(count).map((index) => `k${index}`) },
  ],
};
const textDeletions: Readonly<Record<string, (count: number) => Pair>> = {
  "texts to delete": (count) => [
    finalizers(count) as never,
    { "$deleteFromPrimitiveList/finalizers": indexes(count).map((index) => `a.b/c${index}`) },
  ],
};

function check(made: typeof pairs, run: (pair: Pair) => unknown): void {
  for (const [name, make] of Object.entries(made)) assert.equal(suspicion(run, make, size), undefined, name);
}

test("a strategic merge patch takes linear time in its lists", () => {
  check({ ...pairs, ...deletions }, ([before, patch]) => applyStrategicMergePatch(podSpec, before, patch));
  check({ ...texts, ...textDeletions }, ([before, patch]) => applyStrategicMergePatch(meta, before, patch));
});

test("server-side apply takes linear time in its lists", () => {
  for (const [shape, made] of [
    [podSpec, pairs],
    [meta, texts],
  ] as const) {
    check(made, ([, applied]) => toFieldSet(shape, applied));
    check(made, ([, applied]) => configurationFaults(shape, applied));
    check(made, ([live, applied]) => compareValues(shape, live, applied));
    check(made, ([live, applied]) => mergeValues(shape, live, applied));
  }
});

test("a list with unique items is checked in linear time", () => {
  const schema = { type: "array", uniqueItems: true, items: { type: "object" } } as const;
  const list = (count: number): unknown[] => indexes(count).map((index) => ({ a: index, b: ["c"] }));
  assert.equal(
    suspicion((value) => validateValue(schema as never, value, "spec.a"), list, size),
    undefined,
  );
});

test("escapes of half characters are found in linear time", () => {
  for (const piece of ["\\", "\\u", "\\ud800", "\\ud83d\\ude00", "\\\\ud800", "\\u0041"])
    assert.equal(
      suspicion(wellFormedJson, (length: number) => `${piece.repeat(length)}\\ud800`, size),
      undefined,
      piece,
    );
});

test("copies within a JSON patch are limited in total, because each could double the object", () => {
  const doubling = indexes(40).map((index) => ({ op: "copy", from: "", path: `/c${index}` }));
  assert.throws(() => applyJsonPatch({ a: "b" }, doubling), { status: 422 });
  const few = applyJsonPatch({ a: { b: "c" } }, doubling.slice(0, 3));
  assert.deepEqual(Object.keys(few as object), ["a", "c0", "c1", "c2"]);
});
