import assert from "node:assert/strict";
import { test } from "node:test";
import type { CheckType } from "../../../api/serin/index.ts";
import { rfc3339Seconds } from "../../../base/index.ts";
import type { CheckSubject } from "../../decide/index.ts";
import { CheckObserver } from "./check-observer.ts";
import type { HttpExchange, HttpQuestion } from "./http-exchange.ts";
import { RecentValues } from "../recent-values.ts";
import { fakeScrape, fakeView, gatewayPod, requests, standingClock } from "./testing/fake-mesh.ts";
import { backends, noClient, origin, spec } from "./testing/one-check.ts";

test("within its interval a check is not repeated, and the look keeps its number", async () => {
  const clock = standingClock();
  const requests: HttpQuestion[] = [];
  const exchange: HttpExchange = async (question) => {
    requests.push(question);
    return await Promise.resolve({ status: 200, text: `{"asked":${requests.length}}` });
  };
  const observer = new CheckObserver({ client: noClient, view: fakeView([]), clock, exchange });
  const check = {
    spec: spec("webhook", {
      intervalSeconds: 5,
      webhook: { url: "http://gate/", method: "POST", headers: { "x-key": "k" }, body: { shop: 7 }, timeoutSeconds: 2 },
    }),
    subject: backends,
  };
  const first = await observer.observe(check, { ...origin, settledForMs: 90_000 });
  clock.nowAtMs += 4999;
  assert.deepEqual(await observer.observe(check, origin), first);
  clock.nowAtMs += 1;
  const second = await observer.observe(check, origin);
  assert.notEqual(second.look, first.look);
  assert.equal(requests.length, 2);
  assert.equal(requests[0]?.headers["x-key"], "k");
  const side = (name: string): object => ({ service: name, namespace: "shop", workload: name, revision: "" });
  assert.deepEqual(JSON.parse(requests[0]?.body ?? ""), {
    ...origin,
    canary: side("next"),
    stable: side("now"),
    window: "90s",
    shop: 7,
  });
  assert.deepEqual(first.type === "values" ? [first.result, first.status] : first, [{ asked: 1 }, 200]);
});

test("a step counts from a scrape of its own, which its checks share", async () => {
  const clock = standingClock();
  const answers = new RecentValues<Promise<unknown>>(clock, { maxAgeMs: 300, maxValues: 16 });
  const view = Object.assign(fakeView([gatewayPod("g")]), {
    recently: (key: string, ask: () => Promise<unknown>) => {
      const answer = answers.get(key) ?? ask();
      answers.set(key, answer);
      return answer;
    },
  });
  let served = 10;
  let scrapes = 0;
  const observer = new CheckObserver({
    client: noClient,
    view,
    clock,
    scrape: async (...asked) => {
      scrapes += 1;
      return await fakeScrape({ g: requests("now", "200", served) })(...asked);
    },
  });
  const stableTotal = async (type: CheckType, step: string): Promise<number | undefined> => {
    const subject: CheckSubject = {
      ...backends,
      canary: { service: "next", namespace: "shop" },
      stable: { service: "now", namespace: "shop" },
    };
    const observation = await observer.observe({ spec: spec(type), subject }, { ...origin, step });
    return observation.type === "counters" ? observation.sources["shop/g"]?.stableTotal : undefined;
  };
  assert.equal(await stableTotal("request-share", "weight-50"), 10);
  served = 25;
  assert.equal(await stableTotal("request-share", "weight-100"), 25, "the weight before served 15 more");
  const asked = scrapes;
  assert.equal(await stableTotal("request-success-rate", "weight-100"), 25);
  assert.equal(scrapes, asked);
  served = 40;
  observer.beginAnew({ ...origin, step: "weight-100" });
  assert.equal(await stableTotal("request-share", "weight-100"), 40, "the step has settled again");
});

test("a check whose server or query was edited asks at once, and the answer of the former one does not count", async () => {
  const clock = standingClock();
  const exchange: HttpExchange = async ({ url }) => await Promise.resolve({ status: 200, text: `{"from":"${url}"}` });
  const observer = new CheckObserver({ client: noClient, view: fakeView([]), clock, exchange });
  const from = async (url: string): Promise<unknown> => {
    const webhook = { url, method: "GET" as const, headers: {}, body: {}, timeoutSeconds: 2 };
    const observation = await observer.observe(
      { spec: spec("webhook", { intervalSeconds: 60, webhook }), subject: backends },
      origin,
    );
    return observation.type === "values" ? observation.result : observation;
  };
  assert.deepEqual(await from("http://wrong/"), { from: "http://wrong/" });
  assert.deepEqual(await from("http://right/"), { from: "http://right/" });
});

test("a check with a long interval keeps its look while others are repeated often", async () => {
  const clock = standingClock();
  let requestCount = 0;
  const exchange: HttpExchange = async ({ url }) => {
    if (url === "http://slow/") requestCount += 1;
    return await Promise.resolve({ status: 200, text: "{}" });
  };
  const observer = new CheckObserver({ client: noClient, view: fakeView([]), clock, exchange });
  const check = (name: string, intervalSeconds: number) => ({
    spec: spec("webhook", {
      name,
      intervalSeconds,
      webhook: { url: `http://${name}/`, method: "GET", headers: {}, body: {}, timeoutSeconds: 2 },
    }),
    subject: backends,
  });
  for (let second = 0; second < 290; second += 10, clock.nowAtMs += 10_000) {
    await observer.observe(check("slow", 300), origin);
    await observer.observe(check("quick", 5), origin);
  }
  assert.equal(requestCount, 1);
});

test("many checks of one namespace make no check of another namespace begin again", async () => {
  const clock = standingClock();
  const asked: string[] = [];
  const exchange: HttpExchange = async ({ url }) => {
    asked.push(url);
    return await Promise.resolve({ status: 200, text: "{}" });
  };
  const observer = new CheckObserver({ client: noClient, view: fakeView([]), clock, exchange });
  const look = async (namespace: string, url: string): Promise<void> => {
    const webhook = { url, method: "POST", headers: {}, body: {}, timeoutSeconds: 2 } as const;
    const check = { spec: spec("webhook", { intervalSeconds: 5, webhook }), subject: backends };
    await observer.observe(check, { rollout: `Canary ${namespace}/web`, step: "step-1", namespace });
  };
  await look("shop", "http://gate.shop/");
  for (let index = 0; index < 600; index += 1) await look("attacker", `http://gate.attacker/${index}`);
  await look("shop", "http://gate.shop/");
  assert.equal(asked.filter((url) => url === "http://gate.shop/").length, 1);
  await look("attacker", "http://gate.attacker/599");
  assert.equal(asked.length, 601, "the latest ones of the namespace itself are kept");
});

test("a slow server delays no round and gets no second request meanwhile, and its answer belongs to that look", async () => {
  const clock = { ...standingClock(), sleep: async (): Promise<void> => await Promise.resolve() };
  const { promise, resolve } = Promise.withResolvers<{ status: number; text: string }>();
  let requestCount = 0;
  const exchange: HttpExchange = async () => {
    requestCount += 1;
    return await promise;
  };
  const observer = new CheckObserver({ client: noClient, view: fakeView([]), clock, exchange });
  const check = {
    spec: spec("webhook", {
      intervalSeconds: 1,
      webhook: { url: "http://gate/", method: "GET", headers: {}, body: {}, timeoutSeconds: 60 },
    }),
    subject: backends,
  };
  const begun = clock.nowAtMs;
  const pending = { type: "pending", detail: `asked at ${rfc3339Seconds(begun)}, no answer yet` };
  assert.deepEqual(await observer.observe(check, origin), pending);
  clock.nowMs = clock.steadyMs = () => begun + 30_000;
  assert.deepEqual(await observer.observe(check, origin), pending, "the text stays true however late it is read");
  resolve({ status: 200, text: "{}" });
  await new Promise((turn) => void setImmediate(turn));
  assert.equal(requestCount, 1);
  const observation = await observer.observe(check, origin);
  assert.deepEqual(
    [observation.type, observation.look, requestCount],
    ["values", begun, 1],
    "what has come is told before it is asked again, however late",
  );
  await observer.observe(check, origin);
  assert.equal(requestCount, 2);
});

test("while a look continues, the status has the reason why the previous look had no answer", async () => {
  const clock = { ...standingClock(), sleep: async (): Promise<void> => await Promise.resolve() };
  let requestCount = 0;
  const exchange: HttpExchange = async () => {
    requestCount += 1;
    if (requestCount === 1) throw new Error("GET http://gate/: no route");
    return await new Promise(() => undefined);
  };
  const observer = new CheckObserver({ client: noClient, view: fakeView([]), clock, exchange });
  const webhook = { url: "http://gate/", method: "GET", headers: {}, body: {}, timeoutSeconds: 60 } as const;
  const check = { spec: spec("webhook", { intervalSeconds: 1, webhook }), subject: backends };
  await observer.observe(check, origin);
  await new Promise((turn) => void setImmediate(turn));
  assert.equal((await observer.observe(check, origin)).type, "unavailable");
  const begun = clock.nowAtMs;
  clock.nowMs = clock.steadyMs = () => begun + 2000;
  assert.deepEqual(await observer.observe(check, origin), {
    type: "pending",
    detail: `asked at ${rfc3339Seconds(clock.nowMs())}, no answer yet; the previous attempt had no answer either: GET http://gate/: no route`,
  });
});

test("a query of the mesh's own metrics that takes long is ended, because the engine waits for it", async () => {
  const clock = standingClock();
  const observer = new CheckObserver({
    client: noClient,
    view: fakeView([gatewayPod("g")]),
    clock: { ...clock, steadyMs: () => (clock.nowAtMs += 1) },
    scrape: async (pod) => await fakeScrape({ g: "istio_requests_total 1\n" })(pod),
  });
  const query = { provider: "mesh", expression: "max_over_time(vector(1)[1h:1s])", timeoutSeconds: 5 } as const;
  const { look: _, ...observation } = await observer.observe(
    { spec: spec("query", { query, max: 1 }), subject: backends },
    origin,
  );
  assert.deepEqual(observation, { type: "unavailable", detail: "the query took longer than 1000 ms" });
});

test("the queries of one namespace over the mesh's own metrics take a tenth of the engine's time, however many there are", async () => {
  const clock = standingClock();
  const observer = new CheckObserver({
    client: noClient,
    view: fakeView([gatewayPod("g")]),
    // An evaluation reads the clock again and again, and each read advances it by a millisecond.
    clock: { ...clock, steadyMs: () => (clock.nowAtMs += 1) },
    scrape: async (pod) => await fakeScrape({ g: "istio_requests_total 1\n" })(pod),
  });
  const look = async (namespace: string, name: string, expression: string): Promise<string> => {
    const query = { provider: "mesh", expression, timeoutSeconds: 5 } as const;
    const check = { spec: spec("query", { name, query, max: 1, intervalSeconds: 0 }), subject: backends };
    return (await observer.observe(check, { ...origin, namespace, settledForMs: 60_000 })).type;
  };
  const long = "max_over_time(vector(1)[1h:1s])";
  const fromMs = clock.nowAtMs;
  const looks = await Promise.all(Array.from({ length: 32 }, async (_, index) => look("attacker", `c${index}`, long)));
  assert.deepEqual([looks[0], new Set(looks.slice(1))], ["unavailable", new Set(["pending"])]);
  assert.ok(clock.nowAtMs - fromMs < 2_000, `${clock.nowAtMs - fromMs} ms`);
  assert.equal(await look("shop", "own", "count(istio_requests_total)"), "values");
  clock.nowAtMs += 10_000;
  assert.equal(await look("attacker", "c1", long), "unavailable", "it is asked later");
});
