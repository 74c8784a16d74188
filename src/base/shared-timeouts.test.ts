import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Clock } from "./clock.ts";
import { SharedTimeouts } from "./shared-timeouts.ts";
import { HandClock } from "./testing/index.ts";

class CountedClock extends HandClock implements Clock {
  started = 0;

  override after(ms: number, run: () => void): Disposable {
    this.started += 1;
    return super.after(ms, run);
  }
}

function fixture() {
  const clock = new CountedClock();
  const timeouts = new SharedTimeouts(clock);
  const expired: string[] = [];
  const start = (ms: number, name: string): Disposable => timeouts.after(ms, () => expired.push(name));
  return { clock, timeouts, expired, start };
}

test("timeouts of one length expire in their own time, whenever they were started", () => {
  const { clock, expired, start } = fixture();
  start(100, "first");
  clock.pass(60);
  start(100, "second");
  clock.pass(39);
  assert.deepEqual(expired, []);
  clock.pass(1);
  assert.deepEqual(expired, ["first"]);
  clock.pass(59);
  assert.deepEqual(expired, ["first"]);
  clock.pass(1);
  assert.deepEqual(expired, ["first", "second"]);
});

test("timeouts of different lengths do not wait for each other", () => {
  const { clock, expired, start } = fixture();
  start(100, "long");
  start(10, "short");
  clock.pass(10);
  assert.deepEqual(expired, ["short"]);
  clock.pass(90);
  assert.deepEqual(expired, ["short", "long"]);
});

test("a cancelled timeout never runs, first or last", () => {
  const { clock, expired, start } = fixture();
  const first = start(100, "first");
  start(100, "second");
  const third = start(100, "third");
  first[Symbol.dispose]();
  third[Symbol.dispose]();
  clock.pass(1000);
  assert.deepEqual(expired, ["second"]);
});

test("cancelling timeouts in any order does not change the time of the others", () => {
  const { clock, expired, start } = fixture();
  const all = Array.from({ length: 6 }, (_, index) => {
    const timeout = start(100, String(index));
    clock.pass(10);
    return timeout;
  });
  for (const index of [0, 3, 2, 5, 3]) all[index]?.[Symbol.dispose]();
  clock.pass(49);
  assert.deepEqual(expired, []);
  clock.pass(1);
  assert.deepEqual(expired, ["1"]);
  clock.pass(30);
  assert.deepEqual(expired, ["1", "4"]);
  clock.pass(1000);
  assert.deepEqual(expired, ["1", "4"]);
});

test("a cancelled timeout can be collected even while another one of its length waits", async () => {
  const { timeouts } = fixture();
  timeouts.after(100, () => undefined);
  const before = new WeakRef(timeouts.after(100, () => undefined));
  timeouts.after(100, () => undefined);
  before.deref()?.[Symbol.dispose]();
  // A WeakRef holds its target until the end of the turn.
  await nextTurn();
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
  assert.equal(before.deref(), undefined);
});

test("a timeout that is started by an expired one waits for its whole time", () => {
  const { clock, timeouts, expired } = fixture();
  timeouts.after(100, () => {
    expired.push("outer");
    timeouts.after(100, () => expired.push("inner"));
  });
  clock.pass(100);
  clock.pass(99);
  assert.deepEqual(expired, ["outer"]);
  clock.pass(1);
  assert.deepEqual(expired, ["outer", "inner"]);
});

test("a thousand cancelled timeouts of one length take one timer", () => {
  const { clock, expired, start } = fixture();
  for (let count = 0; count < 1000; count += 1) start(100, String(count))[Symbol.dispose]();
  assert.equal(clock.started, 1);
  clock.pass(100);
  assert.deepEqual([clock.started, expired], [1, []]);
});

test("more lengths than share a timer get timers of their own", () => {
  const { clock, expired, start } = fixture();
  for (let index = 0; index <= SharedTimeouts.maxLengths; index += 1) start(1000 + index, "other");
  start(5, "own");
  start(5, "cancelled")[Symbol.dispose]();
  clock.pass(5);
  assert.deepEqual(expired, ["own"]);
});
