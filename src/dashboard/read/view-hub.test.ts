import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger, userError } from "../../base/index.ts";
import { HandClock } from "../../base/testing/index.ts";
import type { Problem, View } from "../../api/dashboard/index.ts";
import type { ViewReader } from "../server/view-source.ts";
import { ViewHub } from "./view-hub.ts";

const reader = (key: string): ViewReader => ({ key, namespaces: "*", hiddenKinds: new Set(), may: async () => true });

function hub(make: () => View): {
  hub: ViewHub;
  pass: (ms: number) => Promise<void>;
  changes: () => void;
  views: View[];
  problems: Problem[];
  made: () => number;
  follow: (key: string) => AbortController;
} {
  const clock = new HandClock();
  let [version, count] = [0, 0];
  const views: View[] = [];
  const problems: Problem[] = [];
  const made = new ViewHub({
    clock,
    log: silentLogger,
    versionOf: () => version,
    inputsOf: () => ["objects"],
    make: async () => {
      count += 1;
      return make();
    },
  });
  const follow = (key: string): AbortController => {
    const end = new AbortController();
    void made.follow(
      "rollouts",
      {},
      reader(key),
      { view: (view) => views.push(view), problem: (problem) => problems.push(problem) },
      end.signal,
    );
    return end;
  };
  const changes = (): void => {
    version += 1;
    made.changed();
  };
  const pass = async (ms: number): Promise<void> => {
    clock.pass(ms);
    for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
  };
  return { hub: made, pass, changes, views, problems, made: () => count, follow };
}

const view: View = { head: { atMs: 0, sources: [] }, tables: {} };

test("readers with the same visibility share one computed view", async () => {
  const { pass, views, made, follow } = hub(() => view);
  for (const key of ["a", "a", "a", "b"]) follow(key);
  await pass(0);
  assert.deepEqual([made(), views.length], [2, 4]);
});

test("a view is recomputed when its inputs change, at most once a second, and not without a change", async () => {
  const { pass, changes, made, follow } = hub(() => view);
  follow("a");
  await pass(0);
  for (let at = 0; at < 10; at += 1) {
    changes();
    await pass(100);
  }
  assert.equal(made(), 2);
  await pass(1000);
  await pass(10_000);
  assert.equal(made(), 2);
});

test("a change after a quiet time is sent at once", async () => {
  const { pass, changes, made, follow } = hub(() => view);
  follow("a");
  await pass(0);
  await pass(5000);
  changes();
  await pass(50);
  assert.equal(made(), 2);
});

test("a problem with a view is reported once, and the view when it recovers", async () => {
  let there = false;
  const { pass, changes, views, problems, follow } = hub(() => {
    if (!there) throw userError("not-found", "it is gone", { hint: "look elsewhere" });
    return view;
  });
  follow("a");
  await pass(0);
  changes();
  await pass(1000);
  assert.deepEqual(problems, [{ code: "not-found", message: "it is gone", hint: "look elsewhere" }]);
  there = true;
  changes();
  await pass(1000);
  assert.equal(views.length, 1);
});

test("nothing is computed for readers who left", async () => {
  const { hub: source, pass, changes, made, follow } = hub(() => view);
  const end = follow("a");
  await pass(0);
  end.abort();
  await pass(0);
  changes();
  await pass(2000);
  assert.deepEqual([made(), source.feedCount, source.isWanted("objects")], [1, 0, false]);
});
