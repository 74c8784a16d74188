import assert from "node:assert/strict";
import { test } from "node:test";
import type { Lease } from "../api/kubernetes/index.ts";
import { silentLogger, systemClock, transientError, type Clock } from "../base/index.ts";
import { until } from "../base/testing/index.ts";
import type { KubeClient } from "./client.ts";
import { LeaderElection } from "./leader-election.ts";

interface LeaseServer extends KubeClient {
  lease(): Lease | undefined;
  readonly counts: { gets: number; updates: number };
}

/** A server with only the part that an election needs: one lease with optimistic locking. */
function leaseServer(): LeaseServer {
  let lease: Lease | undefined;
  let version = 0;
  const store = (object: Lease): Lease =>
    (lease = { ...object, metadata: { ...object.metadata, resourceVersion: String((version += 1)) } });
  const counts = { gets: 0, updates: 0 };
  return {
    lease: () => lease,
    counts,
    get: async () => {
      counts.gets += 1;
      return lease;
    },
    create: async (_kind: unknown, object: Lease) => store(object),
    update: async (_kind: unknown, object: Lease) => {
      counts.updates += 1;
      if (object.metadata.resourceVersion !== lease?.metadata.resourceVersion)
        throw transientError("conflict", "stale");
      return store(object);
    },
  } as unknown as LeaseServer;
}

/** A clock that moves only when code sleeps, by the shortest sleep. */
function steppedClock(): Clock {
  let nowMs = 1_000_000;
  return {
    ...systemClock,
    nowMs: () => nowMs,
    steadyMs: () => nowMs,
    sleep: async (ms) => {
      await new Promise((resolve) => setImmediate(resolve));
      nowMs += ms;
    },
  };
}

test("one replica leads, and another follows when it releases the lease or the lease expires", async () => {
  const server = leaseServer();
  const clock = steppedClock();
  const order: string[] = [];
  const candidate = (identity: string): LeaderElection =>
    new LeaderElection({
      client: server,
      namespace: "default",
      name: "test",
      identity,
      log: silentLogger,
      clock,
      random: () => 0.5,
    });
  const stopA = new AbortController();
  const stopB = new AbortController();
  const ledByA = Promise.withResolvers<void>();
  const ledByB = Promise.withResolvers<void>();
  const lead =
    (name: string, led: PromiseWithResolvers<void>) =>
    async (leading: AbortSignal): Promise<void> => {
      order.push(`${name} leads`);
      led.resolve();
      await new Promise<void>((resolve) => leading.addEventListener("abort", () => resolve()));
      order.push(`${name} ends`);
    };
  const runningA = candidate("a").run(stopA.signal, lead("a", ledByA));
  await ledByA.promise;
  const runningB = candidate("b").run(stopB.signal, lead("b", ledByB));
  for (let turn = 0; turn < 50; turn += 1) await clock.sleep(1);
  assert.deepEqual(order, ["a leads"]);
  stopA.abort();
  await runningA;
  assert.equal(server.lease()?.spec?.holderIdentity === "a", false);
  await ledByB.promise;
  assert.deepEqual(order, ["a leads", "a ends", "b leads"]);
  stopB.abort();
  await runningB;
  // A holder that ended without a release. Its record does not change any more.
  await server.create(
    undefined as never,
    { metadata: { name: "test" }, spec: { holderIdentity: "dead", renewTime: "x", leaseDurationSeconds: 15 } } as never,
  );
  const startedMs = clock.steadyMs();
  const stopC = new AbortController();
  const ledByC = Promise.withResolvers<void>();
  const runningC = candidate("c").run(stopC.signal, lead("c", ledByC));
  await ledByC.promise;
  assert.ok(clock.steadyMs() - startedMs > 15_000);
  stopC.abort();
  await runningC;
});

test("a holder renews its lease without reading it, at its own interval, and reads it again after another client has written it", async () => {
  const server = leaseServer();
  const clock = steppedClock();
  const stop = new AbortController();
  const led = Promise.withResolvers<void>();
  let terms = 0;
  const running = new LeaderElection({
    client: server,
    namespace: "default",
    name: "test",
    identity: "a",
    leaseDurationMs: 30_000,
    renewDeadlineMs: 15_000,
    renewMs: 5_000,
    log: silentLogger,
    clock,
    random: () => 0.5,
  }).run(stop.signal, async (leading) => {
    terms += 1;
    led.resolve();
    await new Promise<void>((resolve) => leading.addEventListener("abort", () => resolve()));
  });
  await led.promise;
  const turn = async (updates: number): Promise<void> => {
    const startedMs = clock.steadyMs();
    await until(() => server.counts.updates >= updates || clock.steadyMs() - startedMs >= 60_000);
  };
  const startedMs = clock.steadyMs();
  await turn(4);
  assert.equal(server.counts.gets, 1);
  assert.ok(clock.steadyMs() - startedMs >= 20_000, `${clock.steadyMs() - startedMs} ms`);
  // Another client annotates the lease, so the holder's version is stale.
  const lease = server.lease();
  assert.ok(lease !== undefined);
  await server.update(undefined as never, { ...lease, metadata: { ...lease.metadata, annotations: { by: "hand" } } });
  await turn(8);
  assert.equal(server.counts.gets, 2);
  assert.equal(server.lease()?.metadata.annotations?.["by"], "hand");
  assert.equal(server.lease()?.spec?.holderIdentity, "a");
  assert.equal(terms, 1);
  stop.abort();
  await running;
});
