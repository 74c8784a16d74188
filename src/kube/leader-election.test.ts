import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import type { Lease, Pod } from "../api/kubernetes/index.ts";
import {
  aborted,
  ShutdownController,
  silentLogger,
  systemClock,
  transientError,
  userError,
  type Clock,
} from "../base/index.ts";
import { HandClock, until } from "../base/testing/index.ts";
import type { KubeClient } from "./client.ts";
import { drainDeletedPod, LeaderElection } from "./leader-election.ts";

interface LeaseServer extends KubeClient {
  lease(): Lease | undefined;
  /** Returns a function that restores the lease as it is now, with its version. */
  backup(): () => void;
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
    backup: () => {
      const [backedUp, versionThen] = [lease, version];
      return () => {
        [lease, version] = [backedUp, versionThen];
      };
    },
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

/** A clock that moves only when code sleeps. It then moves to the end of the shortest sleep. */
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
  // This lease does not change, because its holder ended without releasing it.
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

test("a holder without a response to its renewal stops leading before others take the lease, and a late response makes nobody leader", async () => {
  const server = leaseServer();
  const update = server.update.bind(server);
  const clock = new HandClock();
  const answers: (() => void)[] = [];
  // The server stores the lease at once, but its answer waits until the test releases it.
  const held = async (...args: Parameters<typeof update>) => {
    const stored = await update(...args);
    await new Promise<void>((resolve) => answers.push(resolve));
    return stored;
  };
  server.update = held as typeof update;
  const sleep = async (): Promise<void> => await new Promise((resolve) => setImmediate(resolve));
  const election = new LeaderElection({
    client: server,
    namespace: "default",
    name: "test",
    identity: "a",
    log: silentLogger,
    clock: Object.assign(clock, { sleep }),
    random: () => 0.5,
  });
  const stop = new AbortController();
  let terms = 0;
  const ended = Promise.withResolvers<void>();
  const running = election.run(stop.signal, async (leading) => {
    terms += 1;
    await aborted(leading);
    ended.resolve();
  });
  const answer = async (count: number): Promise<void> => {
    await until(() => answers.length === count);
    answers.at(-1)?.();
  };
  await until(() => answers.length === 1);
  assert.equal(election.holds(), true);
  clock.pass(10_001);
  await ended.promise;
  assert.equal(election.holds(), false);
  // Release the answer to the renewal. The next answer is the one to the release.
  answers[0]?.();
  await answer(2);
  await until(() => answers.length === 3);
  clock.pass(12_000);
  await answer(3);
  await until(() => answers.length === 4);
  assert.equal(terms, 1);
  await answer(4);
  await until(() => terms === 2);
  stop.abort();
  answers.push = (...more) => {
    more.forEach((run) => run());
    return 0;
  };
  answers.forEach((run) => run());
  await running;
});

test("a holder renews its lease without reading it, at its own interval, and reads it again after another client has written it", async () => {
  const server = leaseServer();
  const clock = steppedClock();
  const stop = new AbortController();
  const led = Promise.withResolvers<void>();
  let terms = 0;
  let term: AbortSignal | undefined;
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
    term = leading;
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
  assert.ok(term !== undefined);
  // A leader renews its lease for months, so a renewal must not leave listeners behind.
  assert.ok(getEventListeners(term, "abort").length < 5);
  stop.abort();
  await running;
});

/** A leader at a server whose storage a test can restore. */
function restorableLeader(clock: Clock, server = leaseServer()) {
  const election = new LeaderElection({
    client: server,
    namespace: "default",
    name: "test",
    identity: "a",
    log: silentLogger,
    clock,
    random: () => 0.5,
  });
  const terms: AbortSignal[] = [];
  const stop = new AbortController();
  const running = election.run(stop.signal, async (leading) => {
    terms.push(leading);
    await aborted(leading);
  });
  const renewed = async (times: number): Promise<void> => {
    const { updates } = server.counts;
    await until(() => server.counts.updates >= updates + times);
  };
  return { server, election, terms, stop, running, renewed };
}

test("a leader begins a new term when somebody has restored the server's storage with an older lease", async () => {
  const { server, terms, stop, running, renewed } = restorableLeader(steppedClock());
  await until(() => terms.length === 1);
  await renewed(2);
  const restore = server.backup();
  await renewed(3);
  assert.equal(terms.length, 1);
  restore();
  await until(() => terms.length === 2);
  assert.equal(terms[0]?.aborted, true);
  // Versions are now compared with the restored ones.
  await renewed(3);
  assert.equal(terms.length, 2);
  assert.equal(terms[1]?.aborted, false);
  stop.abort();
  await running;
});

test("a leader begins a new term when the restored storage has no lease yet, and its new one is older than the former", async () => {
  const { server, terms, stop, running, renewed } = restorableLeader(steppedClock());
  const restore = server.backup();
  await until(() => terms.length === 1);
  await renewed(3);
  restore();
  await until(() => terms.length === 2);
  stop.abort();
  await running;
});

test("a leader confirms its lease at the server, and ends its term if the server's lease is older than its own", async () => {
  // The leader sleeps until its end, so it renews nothing during the test.
  const sleep: Clock["sleep"] = async (_ms, signal) => await aborted(signal ?? AbortSignal.abort());
  const server = leaseServer();
  const restoreNone = server.backup();
  await server.create(undefined as never, { metadata: { name: "test" }, spec: { holderIdentity: "" } } as never);
  const restoreReleased = server.backup();
  const { election, terms, stop, running } = restorableLeader({ ...steppedClock(), sleep }, server);
  await until(() => terms.length === 1);
  const restore = server.backup();
  assert.equal(await election.confirms(), true);
  const lease = server.lease();
  assert.ok(lease !== undefined);
  await server.update(undefined as never, { ...lease, spec: { ...lease.spec, holderIdentity: "b" } });
  assert.equal(await election.confirms(), false, "another process has taken the lease");
  restoreNone();
  assert.equal(await election.confirms(), false, "the lease is gone");
  restore();
  assert.equal(await election.confirms(), true);
  assert.equal(terms[0]?.aborted, false);
  restoreReleased();
  assert.equal(await election.confirms(), false, "the lease is older");
  assert.equal(election.holds(), false);
  await until(() => terms.length === 2);
  assert.equal(terms[0]?.aborted, true);
  stop.abort();
  await running;
});

test("a process drains if its pod was deleted while it started, and continues if it cannot find out", async () => {
  const podOf = (metadata: object): Pod => ({ metadata: { name: "istiod-1", ...metadata } });
  const drained = async (
    answers: readonly (readonly Pod[] | Error)[],
    env: Record<string, string> = { POD_NAME: "istiod-1", POD_NAMESPACE: "istio-system" },
  ): Promise<{ readonly ended: boolean; readonly forced: boolean; readonly looks: readonly unknown[] }> => {
    const shutdown = new ShutdownController();
    const looks: unknown[] = [];
    const list = async (_kind: unknown, options: unknown): Promise<{ items: readonly Pod[] }> => {
      const answer = answers[looks.push(options) - 1] ?? [];
      if (answer instanceof Error) throw answer;
      return await Promise.resolve({ items: answer });
    };
    const client = { list } as unknown as KubeClient;
    await drainDeletedPod({ client, env, shutdown, log: silentLogger, clock: steppedClock() });
    const ended = shutdown.drain.aborted;
    // In a pod with a preStop hook, SIGTERM comes only after the hook.
    shutdown.request("SIGTERM");
    return { ended, forced: shutdown.force.aborted, looks };
  };
  const deleted = podOf({ deletionTimestamp: "2026-01-01T00:00:00Z" });
  const look = { namespace: "istio-system", fieldSelector: "metadata.name=istiod-1" };
  assert.deepEqual(await drained([[deleted]]), { ended: true, forced: false, looks: [look] });
  assert.deepEqual(await drained([[podOf({})]]), { ended: false, forced: false, looks: [look] });
  const down = transientError("unreachable", "no answer");
  assert.deepEqual(await drained([down, [deleted]]), { ended: true, forced: false, looks: [look, look] });
  assert.equal((await drained([down, down, down, [deleted]])).ended, false);
  assert.deepEqual(await drained([userError("forbidden", "no right")]), { ended: false, forced: false, looks: [look] });
  assert.deepEqual((await drained([[deleted]], {})).looks, [], "a process outside a pod asks nobody");
});
