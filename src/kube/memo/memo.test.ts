import assert from "node:assert/strict";
import { setFlagsFromString } from "node:v8";
import { setTimeout } from "node:timers/promises";
import { runInNewContext } from "node:vm";
import { test } from "node:test";
import { Memos } from "./memo.ts";

const maxCollections = 200;

/**
 * Runs garbage collections until the memos have noticed the collected objects. V8 notifies them in a separate task,
 * some time after a collection.
 */
async function collect(isNoticed: () => boolean): Promise<void> {
  setFlagsFromString("--expose-gc");
  const gc = runInNewContext("gc") as () => void;
  for (let round = 0; round < maxCollections && !isNoticed(); round += 1) {
    gc();
    await setTimeout(1);
  }
}

test("a memo computes a value once for an object, and counts what it stores", () => {
  const memos = new Memos();
  const lengths = memos.memo<readonly string[], number>("lengths");
  const list = ["a", "b"];
  let computed = 0;
  const lengthOf = (one: readonly string[]): number => {
    computed += 1;
    return one.length;
  };
  assert.deepEqual([lengths.of(list, lengthOf), lengths.of(list, lengthOf), computed], [2, 2, 1]);
  lengths.set(list, 3);
  assert.deepEqual([lengths.get(list), lengths.get([])], [3, undefined]);
  assert.deepEqual(memos.stats, { lengths: { size: 1, computations: 2 } });
});

test("a memo by keys has a value for each key of an object, and evicts the oldest key if there are too many", () => {
  const memos = new Memos();
  const words = memos.keyed<object, string>("words");
  const subject = {};
  for (let index = 0; index < 5000; index += 1) words.of(subject, String(index), () => `word ${index}`);
  assert.equal(words.stats.size, 4096);
  assert.equal(
    words.of(subject, "4999", () => "again"),
    "word 4999",
  );
  assert.equal(
    words.of(subject, "0", () => "again"),
    "again",
  );
  assert.equal(words.stats.size, 4096);
});

test("a memo of brief objects counts collected ones until it is full, and then starts again", async () => {
  const memos = new Memos();
  const brief = memos.brief<object, number>("brief", 3);
  const gone: WeakRef<object>[] = [];
  for (let index = 0; index < 2; index += 1) {
    const subject = {};
    gone.push(new WeakRef(subject));
    brief.set(subject, index);
  }
  await collect(() => gone.every((subject) => subject.deref() === undefined));
  assert.equal(brief.stats.size, 2);
  const kept = {};
  brief.set(kept, 2);
  assert.deepEqual([brief.get(kept), brief.stats.size], [2, 3]);
  brief.set({}, 3);
  assert.deepEqual([brief.get(kept), brief.stats.size], [undefined, 1]);
});

test("a memo that is full forgets everything, and fills again", () => {
  const memos = new Memos();
  const small = memos.memo<object, number>("small", 2);
  const subjects = [{}, {}, {}];
  for (const [index, subject] of subjects.entries()) small.of(subject, () => index);
  assert.deepEqual(
    subjects.map((subject) => small.get(subject)),
    [undefined, undefined, 2],
  );
  assert.equal(small.stats.size, 1);
});

test("the values of a collected object are removed with it", async () => {
  const memos = new Memos();
  const one = memos.memo<object, number>("one");
  const many = memos.keyed<object, { readonly subject: object }>("many");
  const stays = {};
  for (let index = 0; index < 1000; index += 1) {
    const subject = index === 0 ? stays : {};
    one.of(subject, () => index);
    for (const key of ["a", "b"]) many.of(subject, key, () => ({ subject }));
  }
  assert.deepEqual([one.stats.size, many.stats.size], [1000, 2000]);
  await collect(() => one.stats.size === 1 && many.stats.size === 2);
  assert.deepEqual([one.stats.size, many.stats.size], [1, 2]);
  assert.equal(one.get(stays), 0);
});

test("two memos with one name are refused", () => {
  const memos = new Memos();
  memos.memo("hosts");
  assert.throws(() => memos.keyed("hosts"), /two memos have the name hosts/);
});
