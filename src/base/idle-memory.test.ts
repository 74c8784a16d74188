import assert from "node:assert/strict";
import { syncBuiltinESMExports } from "node:module";
import { mock, test } from "node:test";
import v8 from "node:v8";
import { giveBackIdleMemory } from "./idle-memory.ts";

test("an idle process collects its heap, and changes no flag of V8's collector, which may be at work in another thread", (t) => {
  const set = v8.setFlagsFromString;
  const flags: string[] = [];
  t.after(() => {
    v8.setFlagsFromString = set;
    syncBuiltinESMExports();
    mock.timers.reset();
  });
  v8.setFlagsFromString = (flag) => {
    flags.push(flag);
    set(flag);
  };
  syncBuiltinESMExports();
  mock.timers.enable({ apis: ["setInterval", "setTimeout"] });
  using _memory = giveBackIdleMemory(1);
  let garbage: unknown[] | undefined = Array.from({ length: 200_000 }, (_, index) => ({ text: String(index) }));
  const before = v8.getHeapStatistics().used_heap_size;
  assert.equal(garbage.length, 200_000);
  garbage = undefined;
  // The second tick is long enough for a timer that would reset a flag later. No flag may change after the first tick.
  for (const ms of [3_000, 30_000]) mock.timers.tick(ms);
  assert.ok(v8.getHeapStatistics().used_heap_size < before - 5_000_000, "the garbage is collected");
  assert.deepEqual(flags, ["--expose-gc", "--no-expose-gc"]);
});
