import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import type { Worker } from "node:worker_threads";
import { seededRandom, silentLogger, systemClock, type Clock } from "../../base/index.ts";
import { hastyClock, until } from "../../base/testing/index.ts";
import type { WorkerThread } from "../../base/workers/index.ts";
import type { XdsUpdate } from "../../dataplane/index.ts";
import { MetricsRegistry } from "../../telemetry/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { readSettings } from "../proxy-settings.ts";
import type { UpdateOutcome, WorkerStart } from "./worker-calls.ts";
import { WorkerLimits } from "./worker-limits.ts";
import { WorkerSet, type WorkerSetOptions } from "./worker-set.ts";

interface Call {
  readonly call: number;
  readonly name: string;
  readonly argument: unknown;
}

/** A thread that records its calls, and accepts updates. */
class FakeThread extends EventEmitter {
  readonly start: WorkerStart;
  readonly calls: Call[] = [];
  answers: boolean;
  ended = false;
  readonly values: Record<string, unknown> = {
    status: { pending: [], listeners: 1, connections: 2, quietMs: 9000 },
    statistics: [{ name: "a.total", value: 3, metric: "a", type: "counter" }],
    metrics: [],
    clusters: [],
    owns: false,
    answer: { status: 200, body: "config\n" },
  };
  names: UpdateOutcome["names"] = new Map();

  constructor(start: WorkerStart, answers: boolean) {
    super();
    this.start = start;
    this.answers = answers;
  }

  /** Answers the calls so far, and each later call at once. */
  begin(): void {
    this.answers = true;
    for (const call of this.calls) this.#answer(call);
  }

  #answer({ call, name }: Call): void {
    if (name === "update") this.accept(call, this.names);
    else this.emit("message", { answer: call, value: this.values[name] });
  }

  accept(call: number, names: UpdateOutcome["names"]): void {
    this.emit("message", { answer: call, value: { error: undefined, names } });
  }

  postMessage(message: Call): void {
    this.calls.push(message);
    if (this.answers) queueMicrotask(() => this.#answer(message));
  }

  terminate(): Promise<number> {
    if (!this.ended) {
      this.ended = true;
      this.emit("exit", 1);
    }
    return Promise.resolve(1);
  }

  argumentsOf(name: string): unknown[] {
    return this.calls.filter((call) => call.name === name).map(({ argument }) => argument);
  }
}

class Fixture implements AsyncDisposable {
  readonly threads: FakeThread[] = [];
  readonly set: WorkerSet;
  /** Whether threads that start from now on answer calls by themselves. */
  answers: boolean;

  constructor(count: number, answers = true, more: Partial<WorkerSetOptions> & { readonly clock?: Clock } = {}) {
    this.answers = answers;
    const { clock = systemClock, ...options } = more;
    this.set = new WorkerSet({
      count,
      spawn: (start) => {
        const thread = new FakeThread(start, this.answers);
        this.threads.push(thread);
        return thread as unknown as Worker satisfies WorkerThread;
      },
      data: {
        settings: readSettings({ env: {}, args: ["proxy", "router"], version: "1.2.3", labelsFile: undefined }),
        registry: new MetricsRegistry(),
        resolve: () => Promise.resolve({ addresses: [] }),
        log: silentLogger,
        clock,
        random: seededRandom(1),
        startedMs: 0,
      },
      watch: { everyMs: 5, maxMissed: 4 },
      ...options,
    });
    this.set.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.set.end(new AbortController().signal);
  }
}

test("a worker that stops answering is ended, and its replacement gets the others' state", async () => {
  await using fixture = new Fixture(2);
  const { set, threads } = fixture;
  set.setLogLevel("debug");
  set.drain(true);
  assert.deepEqual(
    threads.map((thread) => [thread.start.worker, thread.argumentsOf("setLogLevel"), thread.argumentsOf("drain")]),
    [
      [0, ["debug"], [true]],
      [1, ["debug"], [true]],
    ],
  );
  await until(() => threads.every((thread) => thread.argumentsOf("live").length > 3));
  const [first, second] = threads;
  assert.ok(first !== undefined && second !== undefined);
  second.answers = false;
  await until(() => threads.length === 3);
  assert.deepEqual([first.ended, second.ended], [false, true]);
  const third = threads[2];
  assert.deepEqual([third?.start.worker, third?.start.logLevel, third?.argumentsOf("drain")], [1, "debug", [true]]);
});

test("a worker that starts slowly is not replaced", async () => {
  await using fixture = new Fixture(1, false);
  const [slow] = fixture.threads;
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.deepEqual([slow?.ended, fixture.threads.length], [false, 1]);
  slow?.begin();
});

test("an ejection by one worker is sent to the others, and not back to it", async () => {
  await using fixture = new Fixture(3);
  const { threads } = fixture;
  const ejection = { cluster: "a", endpoint: "10.0.0.1 80", forMs: 30_000 };
  threads[1]?.emit("message", { call: 1, name: "ejected", argument: ejection });
  await until(() => threads[2]?.argumentsOf("eject").length === 1);
  assert.deepEqual(
    threads.map((thread) => thread.argumentsOf("eject")),
    [[ejection], [], [ejection]],
  );
});

test("a stuck worker delays reports by at most two seconds, and only the first one; they name it, and keep its last counts", async () => {
  const hasty = hastyClock(20);
  const waited: number[] = [];
  const clock: Clock = {
    ...hasty,
    sleep: async (ms, signal) => {
      await hasty.sleep(ms, signal);
      waited.push(ms);
    },
  };
  await using fixture = new Fixture(2, true, { clock, watch: { everyMs: 1_000_000, maxMissed: 1 } });
  const { set, threads } = fixture;
  const total = async (): Promise<readonly string[]> =>
    (await set.statistics()).map(({ name, value }) => `${name} ${value}`);
  assert.deepEqual(await total(), ["a.total 6"]);
  assert.deepEqual((await set.status()).pending, []);
  assert.ok(threads[1]);
  threads[1].answers = false;
  assert.deepEqual(await total(), ["a.total 6", "server.worker_1.unanswered 1"]);
  assert.deepEqual(waited, [2000]);
  assert.match(await set.metrics(), /^serin_proxy_worker_unanswered\{worker="1"\} 1$/m);
  assert.deepEqual(await set.status(), {
    pending: ["an answer of worker 1"],
    listeners: 1,
    connections: 4,
    quietMs: 0,
  });
  assert.equal(await set.owns(1, 2), false);
  assert.deepEqual(await set.answer("/config_dump"), { status: 200, body: "config\n" });
  assert.deepEqual(waited, [2000], "the worker is known to be silent");
  threads[1].begin();
  await until(async () => (await set.status()).pending.length === 0);
  assert.deepEqual(await total(), ["a.total 6"]);
  assert.match(await set.metrics(), /^serin_proxy_worker_unanswered\{worker="1"\} 0$/m);
});

test("slots of a dead worker are free for its replacement", async () => {
  await using fixture = new Fixture(2);
  const { threads } = fixture;
  const limits = { maxConnections: 1, maxPendingRequests: 1, maxRequests: 1, maxRetries: 1, retryBudget: undefined };
  const breaker = (thread: FakeThread | undefined) => {
    assert.ok(thread !== undefined);
    const { limits: memory, worker } = thread.start;
    return new WorkerLimits({ memory, worker, ejected: () => undefined }).breaker("a", limits);
  };
  assert.equal(breaker(threads[0]).requests.take(), true);
  assert.equal(breaker(threads[1]).requests.take(), false);
  await threads[0]?.terminate();
  await until(() => threads.length === 3);
  assert.equal(breaker(threads[2]).requests.take(), true);
});

test("an update that arrives while no worker lives waits for the next one, because the control plane would not repeat it", async () => {
  await using fixture = new Fixture(2);
  const { set, threads } = fixture;
  const [clusters] = set.subscriptions();
  const update = { typeUrl: clusters?.typeUrl ?? "", resources: [], removed: [] };
  await Promise.all(threads.map(async (thread) => await thread.terminate()));
  await clusters?.apply(update);
  await until(() => threads.length === 4);
  for (const thread of threads.slice(2)) assert.deepEqual(thread.argumentsOf("update"), [update]);
});

function withRequests(fixture: Fixture) {
  const requested: (readonly string[])[] = [];
  fixture.set.attach({
    setNames: (typeUrl, names) => void (typeUrl === typeUrls.route && requested.push([...names].toSorted())),
  });
  const [clusters] = fixture.set.subscriptions();
  const update = async (...names: readonly (readonly string[] | undefined)[]): Promise<void> => {
    for (const [index, list] of names.entries()) {
      const thread = fixture.threads[index];
      if (thread !== undefined) thread.names = new Map(list === undefined ? [] : [[typeUrls.route, list]]);
    }
    await clusters?.apply({ typeUrl: clusters.typeUrl, resources: [], removed: [] });
  };
  return { requested, update };
}

test("routes that one worker still needs stay requested while another no longer needs them", async () => {
  await using fixture = new Fixture(2);
  const { requested, update } = withRequests(fixture);
  await update(["old"], ["old"]);
  await update(["new"], ["new", "old"]);
  await update(["new"], undefined);
  assert.deepEqual(requested, [["old"], ["new", "old"], ["new", "old"]]);
  await update(undefined, ["new"]);
  assert.deepEqual(requested.at(-1), ["new"]);
});

test("a worker that needs other routes between two updates says so at once", async () => {
  await using fixture = new Fixture(2);
  const { requested, update } = withRequests(fixture);
  await update(["a", "b"], ["a", "b"]);
  for (const thread of fixture.threads)
    thread.emit("message", { call: 1, name: "need", argument: new Map([[typeUrls.route, ["b"]]]) });
  await until(() => requested.at(-1)?.length === 1);
  assert.deepEqual(requested.at(-1), ["b"]);
});

test("a worker that needs a resource again gets it, although another worker has needed it all the time", async () => {
  await using fixture = new Fixture(2);
  const { set, threads } = fixture;
  const { requested, update } = withRequests(fixture);
  await update(["a", "b", "c"], ["a", "b", "c"]);
  const routes = set.subscriptions().find(({ typeUrl }) => typeUrl === typeUrls.route);
  const resources = ["a", "b"].map((name) => ({
    name,
    version: "1",
    aliases: [],
    typeUrl: typeUrls.route,
    body: Buffer.from(name),
  }));
  await routes?.apply({ typeUrl: typeUrls.route, resources, removed: ["c"] });
  const given = (index: number) =>
    threads[index]
      ?.argumentsOf("update")
      .slice(2)
      .map((one) => {
        const { resources: sent, removed } = one as XdsUpdate;
        return [sent.map(({ name }) => name), removed];
      });
  const need = (names: readonly string[]): void => {
    threads[1]?.emit("message", { call: 1, name: "need", argument: new Map([[typeUrls.route, names]]) });
  };
  need(["a"]);
  need(["a", "b", "c"]);
  await until(() => given(1)?.length === 1);
  assert.deepEqual([given(0), given(1)], [[], [[["b"], ["c"]]]]);
  assert.deepEqual(requested.at(-1), ["a", "b", "c"]);
});

test("the routes of a worker that has ended are those of its replacement", async () => {
  await using fixture = new Fixture(2);
  const { requested, update } = withRequests(fixture);
  await update(["a"], ["a", "b"]);
  await fixture.threads[1]?.terminate();
  await until(() => fixture.threads.length === 3);
  await update(["a"], undefined, ["a"]);
  assert.deepEqual(requested.at(-1), ["a"]);
});

test("a worker that starts needs what it said last, although an older update is still in progress", async () => {
  await using fixture = new Fixture(1);
  const { set, threads } = fixture;
  const { requested, update } = withRequests(fixture);
  await update(["a"]);
  await set
    .subscriptions()
    .find(({ typeUrl }) => typeUrl === typeUrls.listener)
    ?.apply({ typeUrl: typeUrls.listener, resources: [], removed: [] });
  fixture.answers = false;
  await threads[0]?.terminate();
  await until(() => threads.length === 2);
  const later = update(["a", "b"]);
  const [, thread] = threads;
  await until(() => thread?.argumentsOf("update").length === 3);
  const [clusters, listeners, latest] = thread?.calls.filter(({ name }) => name === "update") ?? [];
  for (const [one, names] of [
    [clusters, new Map([[typeUrls.route, ["a"]]])],
    [latest, new Map([[typeUrls.route, ["a", "b"]]])],
    [listeners, new Map<string, string[]>()],
  ] as const) {
    thread?.accept(one?.call ?? 0, names);
    await setImmediate();
  }
  await later;
  if (thread !== undefined) thread.answers = true;
  assert.deepEqual(requested.at(-1), ["a", "b"]);
});
