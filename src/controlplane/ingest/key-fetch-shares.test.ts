import assert from "node:assert/strict";
import { test } from "node:test";
import { createLogger, systemClock } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import { CollectionGraph } from "../../kube/index.ts";
import { MetricsRegistry } from "../../telemetry/index.ts";
import type { KeySetFacts } from "../model/request-authentication-keys.ts";
import { config, createModelFixture } from "../testing/model-fixture.ts";
import { KeyFetchShares, leastWaitMs } from "./key-fetch-shares.ts";
import { KeySetIngest } from "./key-set-ingest.ts";

const signal = new AbortController().signal;

test("a namespace fetches at most half of what the others leave, and each ended fetch lets the next one begin", async () => {
  const shares = new KeyFetchShares({ fetches: 8, bytes: 100 });
  const begun: string[] = [];
  const places: Disposable[] = [];
  const want = (namespace: string): void =>
    void shares.place([namespace], signal).then((place) => {
      begun.push(namespace);
      places.push(place);
    });
  for (let index = 0; index < 10; index += 1) want("greedy");
  want("shop");
  await until(() => begun.length === 5);
  assert.deepEqual(begun, ["greedy", "greedy", "greedy", "greedy", "shop"]);
  for (let index = 0; places.length < 11; index += 1) {
    places[index]?.[Symbol.dispose]();
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(begun.length, 11);
});

test("a caller that no longer waits leaves the queue", async () => {
  const shares = new KeyFetchShares({ fetches: 2, bytes: 100 });
  const first = await shares.place(["shop"], signal);
  const stop = new AbortController();
  const waiting = shares.place(["shop"], stop.signal);
  stop.abort(new Error("stopped"));
  await assert.rejects(waiting, /stopped/);
  const second = shares.place(["shop"], signal);
  first[Symbol.dispose]();
  (await second)[Symbol.dispose]();
});

test("key sets share their memory, and one that no longer fits leaves the earlier one in force", () => {
  const shares = new KeyFetchShares({ fetches: 8, bytes: 400 });
  assert.equal(shares.hold("a", ["greedy"], "k".repeat(100)), true);
  assert.equal(shares.hold("b", ["greedy"], "k"), false);
  assert.equal(shares.hold("c", ["shop"], "k".repeat(50)), true);
  assert.equal(shares.hold("a", ["greedy"], "k".repeat(101)), false);
  assert.equal(shares.hold("c", ["shop"], "k".repeat(51)), false, "the earlier one still counts");
  assert.equal(shares.hold("d", ["greedy", "docs"], "k".repeat(20)), true, "one of its namespaces has room");
  shares.drop("a");
  assert.equal(shares.hold("b", ["greedy"], "k".repeat(60)), true);
});

test("hundreds of rules whose servers never answer neither open as many connections nor hold up another namespace", async () => {
  const { apply, inputs } = createModelFixture();
  const keySets = new CollectionGraph().source<KeySetFacts>("keys");
  let open = 0;
  let most = 0;
  const stop = new AbortController();
  const running = new KeySetIngest({
    metrics: new MetricsRegistry(),
    requestAuthentications: inputs.requestAuthentications,
    keySets,
    fetchText: async (url, fetchSignal) => {
      if (url.includes("shop")) return '{"keys":[]}';
      most = Math.max(most, ++open);
      await systemClock.sleep(3_600_000, fetchSignal).catch(() => undefined);
      open -= 1;
      throw new Error("no answer");
    },
    clock: systemClock,
    log: createLogger({ scope: "pilot", level: "error", write: () => undefined }),
  }).run(stop.signal);
  const jwtRules = Array.from({ length: 400 }, (_, index) => ({
    issuer: "a",
    jwksUri: `https://slow.example/${index}`,
    timeout: "3600s",
  }));
  apply(config("RequestAuthentication", "greedy/tokens", { jwtRules }));
  await until(() => open > 0);
  apply(
    config("RequestAuthentication", "shop/tokens", {
      jwtRules: [{ issuer: "b", jwksUri: "https://shop.example/keys" }],
    }),
  );
  await until(() => keySets.size === 1);
  assert.equal(most, 32);
  stop.abort();
  await running;
  assert.equal(open, 0);
});

test("key sets that cannot be fetched are retried less often, the more a namespace has", () => {
  assert.deepEqual([leastWaitMs(1), leastWaitMs(4000)], [20, 80_000]);
});
