import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { silentLogger, systemClock, type Clock } from "../base/index.ts";
import type { Listen } from "./listen.ts";
import type { ListenerSpec } from "./listener/listener-spec.ts";
import { firstFetchLimitMs, ListenerSet, type ListenerSetOptions } from "./listener-set.ts";

const listenerWith = (name: string, routes: string): ListenerSpec =>
  ({
    name,
    kind: "bound",
    addresses: [{ address: "127.0.0.1", port: 80 }],
    chains: [
      {
        name: "c",
        serves: { kind: "http", http: { routes: { kind: "rds", name: routes }, connection: { filters: [] } } },
      },
    ],
    defaultChain: undefined,
  }) as unknown as ListenerSpec;

function harness({ lingerMs = 0 } = {}) {
  const timers: { readonly ms: number; readonly run: () => void }[] = [];
  const tables = new Set<string>();
  const startNeeds: string[] = ["endpoints of a"];
  let [held, begun, replaced, closed] = [0, 0, 0, 0];
  let nowMs = 0;
  const clock: Clock = {
    ...systemClock,
    steadyMs: () => nowMs,
    after: (ms, run) => {
      const timer = { ms, run };
      timers.push(timer);
      return { [Symbol.dispose]: () => void timers.splice(timers.indexOf(timer), 1) };
    },
  };
  const set = new ListenerSet({
    clock,
    log: silentLogger,
    leavingLimitMs: 1000,
    lingerMs,
    startNeeds: () => startNeeds,
    replaced: () => (replaced += 1),
    listen: (options: Parameters<Listen>[0]) => {
      if (options.held === true) held += 1;
      else begun += 1;
      return Promise.resolve({
        address: options,
        close: () => void (closed += 1),
        begin: () => Promise.resolve(void (begun += 1)),
      });
    },
    contexts: { awaited: () => [] },
    chains: { routeTable: (name: string) => (tables.has(name) ? {} : undefined) },
  } as unknown as ListenerSetOptions);
  const pass = (ms: number): void => {
    nowMs += ms;
    set.sweep();
  };
  return { set, timers, tables, startNeeds, counts: () => ({ held, begun, replaced }), closed: () => closed, pass };
}

test("listeners begin when the resources that they refer to have arrived, and a change waits for its routes while the old listener serves", async () => {
  const { set, timers, tables, startNeeds, counts } = harness();
  await set.set(listenerWith("one", "first"));
  set.proceed();
  tables.add("first");
  set.proceed();
  assert.deepEqual(counts(), { held: 1, begun: 0, replaced: 0 }, "endpoints are missing");
  assert.deepEqual(set.pending(), ["listener one"]);
  startNeeds.length = 0;
  set.proceed();
  await setImmediate();
  assert.deepEqual([counts(), timers.length, set.pending()], [{ held: 1, begun: 1, replaced: 0 }, 0, []]);
  await set.set(listenerWith("one", "second"));
  assert.deepEqual([...set.routeNames()].sort(), ["first", "second"]);
  set.proceed();
  assert.equal(counts().replaced, 0);
  assert.deepEqual(set.servingChains, listenerWith("one", "first").chains, "the old listener serves");
  tables.add("second");
  set.proceed();
  assert.deepEqual([[...set.routeNames()], counts().replaced], [["second"], 1]);
});

test("a listener listens after 15 s although something is missing", async () => {
  const { set, timers, counts } = harness();
  await set.set(listenerWith("one", "first"));
  set.proceed();
  assert.deepEqual(
    timers.map(({ ms }) => ms),
    [15_000],
  );
  assert.equal(firstFetchLimitMs, 15_000);
  timers[0]?.run();
  await setImmediate();
  assert.deepEqual(counts(), { held: 1, begun: 1, replaced: 0 });
  assert.deepEqual(set.pending(), ["routes first"]);
});

test("a listener that is removed while it waits does not listen", async () => {
  const { set, timers, tables, startNeeds, counts } = harness();
  await set.set(listenerWith("one", "first"));
  set.remove("one");
  tables.add("first");
  startNeeds.length = 0;
  set.proceed();
  await setImmediate();
  assert.deepEqual([counts().begun, timers.length], [0, 0]);
});

async function serving(options: { readonly lingerMs: number }) {
  const found = harness(options);
  found.startNeeds.length = 0;
  found.tables.add("first");
  await found.set.set(listenerWith("one", "first"));
  found.set.proceed();
  await setImmediate();
  return found;
}

test("a removed listener accepts connections for a while if configured, unless another listener needs its address", async () => {
  for (const [lingerMs, expected] of [
    [0, { atOnce: 1, accepting: 0 }],
    [2000, { atOnce: 0, accepting: 1 }],
  ] as const) {
    const { set, closed, pass } = await serving({ lingerMs });
    set.remove("one");
    pass(1999);
    assert.deepEqual({ atOnce: closed(), accepting: set.accepting }, expected);
    assert.equal(set.needsRemoved, expected.accepting > 0, "what it needs stays");
    assert.ok(set.drainingConnections <= set.connections, "it has no connection");
    pass(1);
    assert.deepEqual([closed(), set.accepting, set.needsRemoved], [1, 0, false]);
  }
  const { set, closed } = await serving({ lingerMs: 2000 });
  set.remove("one");
  await set.set(listenerWith("two", "first"));
  assert.deepEqual([closed(), set.accepting], [1, 1]);
});
