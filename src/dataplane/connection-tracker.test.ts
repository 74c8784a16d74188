import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger } from "../base/index.ts";
import { ConnectionTracker } from "./connection-tracker.ts";

function fixture() {
  const counts: string[] = [];
  const tracker = new ConnectionTracker<string>({
    log: silentLogger,
    onChange: ({ active, draining }) => counts.push(`${active}+${draining}`),
  });
  const names = () => tracker.list().map(({ details }) => details);
  return { tracker, counts, names };
}

test("connections are listed in the order in which they opened, whichever of them have ended", () => {
  const { tracker, names } = fixture();
  const all = ["a", "b", "c", "d", "e"].map((name) => tracker.open(name, () => undefined, 0));
  for (const index of [2, 0, 4, 2]) all[index]?.[Symbol.dispose]();
  assert.deepEqual([names(), tracker.size], [["b", "d"], 2]);
  tracker.open("f", () => undefined, 0);
  assert.deepEqual(names(), ["b", "d", "f"]);
});

test("the counts follow each connection, and idle waits for the last one", async () => {
  const { tracker, counts } = fixture();
  const first = tracker.open("first", () => undefined, 0);
  const second = tracker.open("second", () => undefined, 0);
  tracker.drain((name) => name === "first");
  let isIdle = false;
  const idle = tracker.idle().then(() => (isIdle = true));
  first[Symbol.dispose]();
  await Promise.resolve();
  assert.equal(isIdle, false);
  second[Symbol.dispose]();
  await idle;
  assert.deepEqual(counts, ["1+0", "2+0", "1+1", "1+0", "0+0"]);
});

test("all connections are aborted, although each one leaves the list at once", () => {
  const { tracker, names } = fixture();
  const aborted: string[] = [];
  for (const name of ["a", "b", "c"]) {
    const tracked = tracker.open(
      name,
      () => {
        aborted.push(name);
        tracked[Symbol.dispose]();
      },
      0,
    );
  }
  tracker.abortAll(new Error("the end"));
  assert.deepEqual([aborted, names()], [["a", "b", "c"], []]);
});
