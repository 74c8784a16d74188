import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock, type Clock } from "../../base/index.ts";
import type { Cluster } from "./cluster.ts";
import { endpointAt, forwardTo, Harness, route, tableOf } from "../testing/harness.ts";

const echo = async (harness: Harness): Promise<number> => {
  const { port } = await harness.backend((request, response) => void request.pipe(response));
  return port;
};

/** A cluster whose endpoints are not known yet, and a promise that resolves when a request begins to wait for them. */
function clusterWithoutEndpoints(harness: Harness): { readonly cluster: Cluster; readonly waited: Promise<void> } {
  const { promise: waited, resolve } = Promise.withResolvers<void>();
  const clock: Clock = {
    ...systemClock,
    after: (ms, run) => {
      resolve();
      return systemClock.after(ms, run);
    },
  };
  return { cluster: harness.cluster("app", undefined, {}, clock), waited };
}

test("a request with a body waits for the first endpoints of its cluster", async () => {
  await using harness = await Harness.start();
  const port = await echo(harness);
  const { cluster, waited } = clusterWithoutEndpoints(harness);
  harness.table = tableOf(route(forwardTo("app")));
  const response = harness.get("/", { method: "POST", body: "kept meanwhile" });
  await waited;
  assert.equal(harness.records.length, 0);
  cluster.setEndpoints([endpointAt(port)]);
  const { status, body } = await response;
  assert.deepEqual([status, body], [200, "kept meanwhile"]);
});

test("a waiting request uses the cluster that replaces the one that it waits for", async () => {
  await using harness = await Harness.start();
  const port = await echo(harness);
  const { cluster: before, waited } = clusterWithoutEndpoints(harness);
  harness.table = tableOf(route(forwardTo("app")));
  const response = harness.get("/", { method: "POST", body: "x" });
  await waited;
  harness.cluster("app", [port]);
  before.drain();
  assert.equal((await response).status, 200);
});

test("an empty list of endpoints ends the wait, and no later request waits", async () => {
  await using harness = await Harness.start();
  const { cluster, waited } = clusterWithoutEndpoints(harness);
  harness.table = tableOf(route(forwardTo("app")));
  const response = harness.get("/");
  await waited;
  cluster.setEndpoints([]);
  const { status, body } = await response;
  assert.deepEqual([status, body], [503, "no healthy upstream"]);
  assert.equal(cluster.firstEndpoints(), undefined);
});

test("the wait ends five seconds after the cluster arrived", async () => {
  let nowMs = 0;
  const timers: { readonly atMs: number; readonly run: () => void }[] = [];
  const clock: Clock = {
    ...systemClock,
    steadyMs: () => nowMs,
    after: (ms, run) => {
      timers.push({ atMs: nowMs + ms, run });
      return { [Symbol.dispose]: () => undefined };
    },
  };
  await using harness = await Harness.start();
  const cluster = harness.cluster("app", undefined, {}, clock);
  nowMs = 3_000;
  const waits = cluster.firstEndpoints();
  assert.ok(waits !== undefined);
  assert.deepEqual(
    timers.map(({ atMs }) => atMs),
    [5_000],
  );
  nowMs = 5_000;
  for (const { run } of timers) run();
  await waits;
  assert.equal(cluster.firstEndpoints(), undefined);
});
