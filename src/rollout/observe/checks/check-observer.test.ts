import assert from "node:assert/strict";
import { test } from "node:test";
import { checkDefaults, type CheckSpec, type CheckType } from "../../../api/serin/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import { rfc3339Seconds } from "../../../base/index.ts";
import type { CheckSubject } from "../../decide/index.ts";
import { CheckObserver } from "./check-observer.ts";
import { isErrorLine } from "./error-line.ts";
import { httpExchange, type HttpExchange, type HttpQuestion } from "./http-exchange.ts";
import { podFacts } from "./pod-facts.ts";
import { RecentValues } from "../recent-values.ts";
import { fakePod, fakeScrape, fakeView, gatewayPod, requests, standingClock, ztunnelPod } from "./testing/fake-mesh.ts";

const backends: CheckSubject = {
  type: "backends",
  canary: { service: "next", namespace: "shop", workload: "next" },
  stable: { service: "now", namespace: "shop", workload: "now" },
  expectedShare: 10,
  atLeast: false,
};
const spec = (type: CheckType, more: Partial<CheckSpec> = {}): CheckSpec => ({ ...checkDefaults, type, ...more });
const noClient = {} as KubeClient;
const origin = { rollout: "Canary shop/shop", step: "step-1" };

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

test("a server that is missing or fails counts as not answering", async () => {
  const clock = standingClock();
  const webhook = {
    url: "http://me:secret@127.0.0.1:9/?key=secret",
    method: "GET",
    headers: {},
    body: {},
    timeoutSeconds: 1,
  } as const;
  const observation = await new CheckObserver({
    client: noClient,
    view: fakeView([]),
    clock,
    exchange: httpExchange,
  }).observe({ spec: spec("webhook", { webhook }), subject: backends }, origin);
  assert.equal(observation.type, "unavailable");
  assert.doesNotMatch(JSON.stringify(observation), /secret/);
  const broken: HttpExchange = async () => await Promise.resolve({ status: 502, text: "" });
  assert.equal(
    (
      await new CheckObserver({ client: noClient, view: fakeView([]), clock, exchange: broken }).observe(
        { spec: spec("webhook", { webhook }), subject: backends },
        origin,
      )
    ).type,
    "unavailable",
  );
});

test("a query of the mesh's own metrics sees the scrapes of its looks, with its variables replaced", async () => {
  const clock = standingClock();
  let total = 100;
  const observer = new CheckObserver({
    client: noClient,
    view: fakeView([gatewayPod("g")]),
    clock,
    scrape: async (pod) =>
      await fakeScrape({ g: `istio_requests_total{destination_workload="next"} ${total}\nnodejs_heap 5\n` })(pod),
  });
  const query = {
    provider: "mesh",
    expression: 'sum(increase(istio_requests_total{destination_workload="{{ canary.workload }}"}[{{ window }}]))',
    baseline: "count(nodejs_heap)",
    timeoutSeconds: 5,
  } as const;
  const check = { spec: spec("query", { query, max: 1, intervalSeconds: 5 }), subject: backends };
  const results: unknown[] = [];
  for (let look = 0; look < 4; look += 1) {
    const observation = await observer.observe(check, { ...origin, settledForMs: 15_000 });
    results.push(observation.type === "values" ? observation.result : observation);
    if (observation.type === "values") assert.deepEqual(observation.baseline, []);
    clock.nowAtMs += 5000;
    total += 10;
  }
  assert.deepEqual(results[0], []);
  assert.ok(Number(results[3]) >= 29 && Number(results[3]) <= 31, String(results[3]));
});

test("a query of the mesh's own metrics that is too early scrapes the mesh, but not in each round", async () => {
  const clock = standingClock();
  let scrapes = 0;
  const scrape = async (): Promise<[]> => {
    scrapes += 1;
    return await Promise.resolve([]);
  };
  const observer = new CheckObserver({ client: noClient, view: fakeView([gatewayPod("g")]), clock, scrape });
  const query = { provider: "mesh", expression: "count(up[{{ window }}])", timeoutSeconds: 5 } as const;
  const check = { spec: spec("query", { query, max: 5 }), subject: backends };
  for (let settledForMs = 0; settledForMs < 15_000; settledForMs += 1000) {
    assert.equal((await observer.observe(check, { ...origin, settledForMs })).type, "pending");
    clock.nowAtMs += 1000;
  }
  assert.equal(scrapes, 3);
});

test("a query over the step's window is asked when the shortest window lies in the step, others at once", async () => {
  const clock = standingClock();
  const asked: string[] = [];
  const exchange: HttpExchange = async ({ url }) => {
    asked.push(new URL(url).searchParams.get("query") ?? "");
    return await Promise.resolve({
      status: 200,
      text: '{"status":"success","data":{"resultType":"scalar","result":[1,"3"]}}',
    });
  };
  const observer = new CheckObserver({ client: noClient, view: fakeView([]), clock, exchange });
  const look = async (expression: string, settledForMs: number, rollout = origin.rollout): Promise<string> => {
    const query = { provider: "prometheus", address: "http://p:9090", expression, timeoutSeconds: 5 } as const;
    const check = { spec: spec("query", { name: expression, query, max: 5, intervalSeconds: 60 }), subject: backends };
    const observation = await observer.observe(check, { ...origin, rollout, settledForMs });
    return observation.type === "pending" ? observation.detail : observation.type;
  };
  const windowed = "sum(rate(errors[{{ window }}]))";
  assert.equal(await look(windowed, 0), "its window of 15 s is not over, it is asked in 15 s");
  assert.equal(await look(windowed, 14_900), "its window of 15 s is not over, it is asked in 1 s");
  assert.deepEqual(asked, []);
  assert.equal(await look(windowed, 15_000), "values");
  assert.equal(await look("errors", 0), "values");
  assert.equal(await look(windowed, 0, ""), "values", "outside a rollout there is no step before");
  assert.deepEqual(asked, ["sum(rate(errors[15s]))", "errors", "sum(rate(errors[15s]))"]);
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
    // Each look at the clock takes a millisecond, and an evaluation looks at it again and again.
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

test("a query with a variable that the step lacks is an error", async () => {
  const query = { provider: "mesh", expression: "up{rev='{{ canary.revision }}'}", timeoutSeconds: 5 } as const;
  const observer = new CheckObserver({ client: noClient, view: fakeView([]), clock: standingClock() });
  const { look: _, ...observation } = await observer.observe(
    { spec: spec("query", { query, max: 1 }), subject: backends },
    origin,
  );
  assert.deepEqual(observation, {
    type: "verdict",
    verdict: "error",
    evidence: "this step has no canary.revision, which the query names",
  });
});

test("a server that has too many requests, or redirects, has not judged, and one that refuses has", async () => {
  const webhook = { url: "http://gate/", method: "GET", headers: {}, body: {}, timeoutSeconds: 1 } as const;
  const seenWith = async (status: number) =>
    await new CheckObserver({
      client: noClient,
      view: fakeView([]),
      clock: standingClock(),
      exchange: async () => await Promise.resolve({ status, text: "<html>" }),
    }).observe({ spec: spec("webhook", { webhook }), subject: backends }, origin);
  for (const status of [408, 425, 429, 503]) {
    const seen = await seenWith(status);
    assert.equal(seen.type === "unavailable" && seen.detail, `GET http://gate/: status ${status}`);
  }
  const moved = await seenWith(302);
  assert.match(moved.type === "unavailable" ? moved.detail : "", /status 302, and redirects are not followed/);
  assert.deepEqual([(await seenWith(403)).type, (await seenWith(200)).type], ["values", "values"]);
});

test("a query's headers are sent to its Prometheus", async () => {
  const requests: unknown[] = [];
  const query = {
    provider: "prometheus",
    address: "http://prometheus:9090",
    headers: { "X-Scope-OrgID": "shop" },
    expression: "up",
    timeoutSeconds: 5,
  } as const;
  const observer = new CheckObserver({
    client: noClient,
    view: fakeView([]),
    clock: standingClock(),
    exchange: async ({ headers }) => {
      requests.push(headers);
      return await Promise.resolve({ status: 503, text: "" });
    },
  });
  await observer.observe({ spec: spec("query", { query, max: 1 }), subject: backends }, origin);
  assert.deepEqual(requests, [{ accept: "application/json", "X-Scope-OrgID": "shop" }]);
});

test("what is no answer of Prometheus is reported as none, and infinite numbers are numbers", async () => {
  const sample = (value: unknown): string =>
    JSON.stringify({ status: "success", data: { resultType: "vector", result: [{ metric: {}, value }] } });
  const seenWith = async (text: string, status = 200) =>
    await new CheckObserver({
      client: noClient,
      view: fakeView([]),
      clock: standingClock(),
      exchange: async () => await Promise.resolve({ status, text }),
    }).observe(
      {
        spec: spec("query", {
          query: { provider: "prometheus", address: "http://prometheus:9090/", expression: "up", timeoutSeconds: 5 },
          max: 1,
        }),
        subject: backends,
      },
      origin,
    );
  const resultOf = async (text: string): Promise<unknown> => {
    const seen = await seenWith(text);
    return seen.type === "values" ? seen.result : seen;
  };
  const detailOf = async (text: string, status?: number): Promise<string> => {
    const seen = await seenWith(text, status);
    return seen.type === "unavailable" ? seen.detail : seen.type;
  };
  assert.equal(await resultOf(sample([1, "+Inf"])), Number.POSITIVE_INFINITY);
  assert.equal(await resultOf(sample([1, "-Inf"])), Number.NEGATIVE_INFINITY);
  assert.equal(await resultOf(sample([1, "NaN"])), Number.NaN);
  assert.equal(
    await resultOf('{"status":"success","data":{"resultType":"scalar","result":[1,"+Inf"]}}'),
    Number.POSITIVE_INFINITY,
  );
  const none = "and not an answer of Prometheus in JSON";
  for (const [text, status] of [
    ["<html>login</html>", 200],
    ["", 200],
    ["null", 200],
    ["[]", 200],
    ["slow down", 429],
  ] as const)
    assert.equal(await detailOf(text, status), `http://prometheus:9090/: status ${status}, ${none}`, text);
  assert.match(await detailOf('{"status":"success"}'), /an instant vector, got nothing$/);
  assert.match(
    await detailOf('{"status":"success","data":{"resultType":"vector","result":"x"}}'),
    /without a list of series$/,
  );
  assert.match(await detailOf('{"status":"success","data":{"resultType":"scalar"}}'), /a sample has no number/);
  assert.match(await detailOf(sample(undefined)), /a sample has no number/);
});

test("Prometheus is asked for an instant value, and its error is reported", async () => {
  const answers: Record<string, { status: number; text: string }> = {
    one: {
      status: 200,
      text: '{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[1,"0.25"]}]}}',
    },
    two: {
      status: 200,
      text: '{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[1,"1"]},{"metric":{},"value":[1,"2"]}]}}',
    },
    bad: { status: 400, text: '{"status":"error","error":"parse error"}' },
  };
  const exchange: HttpExchange = async ({ url }) =>
    await Promise.resolve(answers[new URL(url).searchParams.get("query") ?? ""] ?? { status: 404, text: "" });
  const observer = new CheckObserver({ client: noClient, view: fakeView([]), clock: standingClock(), exchange });
  const observe = async (expression: string) =>
    await observer.observe(
      {
        spec: spec("query", {
          name: expression,
          query: { provider: "prometheus", address: "http://prometheus:9090/", expression, timeoutSeconds: 5 },
          max: 1,
        }),
        subject: backends,
      },
      origin,
    );
  const [one, two, bad] = [await observe("one"), await observe("two"), await observe("bad")];
  assert.equal(one.type === "values" && one.result, 0.25);
  assert.deepEqual(two.type === "values" && two.result, [
    { labels: { a: "b" }, value: 1 },
    { labels: {}, value: 2 },
  ]);
  assert.match(bad.type === "unavailable" ? bad.detail : "", /parse error/);
});

test("roots must be trusted by all, and must be those that end the certificate chains", async () => {
  const scrape = fakeScrape({
    y: 'serin_certificates{root="aa"} 2\nserin_trusted_roots{root="aa"} 1\n',
    z: 'serin_certificates{root="aa"} 1\nserin_trusted_roots{root="aa"} 1\nserin_trusted_roots{root="bb"} 1\n',
  });
  const observer = new CheckObserver({
    client: noClient,
    view: fakeView([ztunnelPod("y"), ztunnelPod("z")]),
    clock: standingClock(),
    scrape,
  });
  const observe = async (roots: readonly string[]) => {
    const observation = await observer.observe(
      { spec: spec("certificate-roots", { name: `r${roots.join("-")}`, roots }), subject: { type: "mesh" } },
      origin,
    );
    return observation.type === "verdict" ? `${observation.verdict}: ${observation.evidence}` : observation.type;
  };
  assert.equal(await observe([]), "pass: 2 proxies trust aa, and the chains of all their certificates lead to it");
  assert.equal(await observe(["aa", "bb"]), "wait: istio-system/y does not trust the root bb; it trusts aa");
  assert.equal(await observe(["bb"]), "wait: istio-system/y does not trust the root bb; it trusts aa");
});

test("seconds with an error in a pod's log are counted from the first look on, and a stack trace once", async () => {
  const clock = standingClock();
  const startMs = clock.nowAtMs;
  const at = (ms: number, text: string): string => `${new Date(startMs + ms).toISOString()} ${text}\n`;
  const paths: string[] = [];
  const client = {
    raw: async (_: string, path: string) => {
      paths.push(path);
      const text = path.includes("next-1")
        ? at(-500, "ERROR old") +
          at(1000, "ERROR a") +
          at(1001, "ERROR b") +
          at(2500, "fine") +
          at(3100, '{"level":"error","msg":"c"}')
        : at(1000, "all is well");
      return await Promise.resolve({ status: 200, text });
    },
  } as unknown as KubeClient;
  const status = {
    containerStatuses: [{ name: "app", ready: true, restartCount: 0, image: "", imageID: "", state: { running: {} } }],
  };
  const view = fakeView([
    fakePod({ name: "next-1", workload: "next", status }),
    fakePod({ name: "now-1", workload: "now", status }),
  ]);
  const observer = new CheckObserver({ client, view, clock });
  const check = { spec: spec("error-log-rate", { intervalSeconds: 1 }), subject: backends };
  await observer.observe(check, origin);
  clock.nowAtMs += 5000;
  const observation = await observer.observe(check, origin);
  assert.deepEqual(observation.type === "counters" ? [observation.sources, observation.lastError] : observation, [
    {
      "shop/next-1 app": { canaryTotal: 5, canaryErrors: 2, stableTotal: 0, stableErrors: 0 },
      "shop/now-1 app": { canaryTotal: 0, canaryErrors: 0, stableTotal: 5, stableErrors: 0 },
    },
    'shop/next-1 app: {"level":"error","msg":"c"}',
  ]);
  assert.match(paths[0] ?? "", /limitBytes=262144/);
});

test("setting the clock forward or back adds no seconds to the counted time of logs, and counting continues", async () => {
  const clock = standingClock();
  const client = { raw: async () => await Promise.resolve({ status: 200, text: "" }) } as unknown as KubeClient;
  const status = {
    containerStatuses: [{ name: "app", ready: true, restartCount: 0, image: "", imageID: "", state: { running: {} } }],
  };
  const view = fakeView([fakePod({ name: "next-1", workload: "next", status })]);
  const observer = new CheckObserver({ client, view, clock });
  const check = { spec: spec("error-log-rate", { intervalSeconds: 1 }), subject: backends };
  const seconds = async (): Promise<number | undefined> => {
    const observation = await observer.observe(check, origin);
    return observation.type === "counters" ? observation.sources["shop/next-1 app"]?.canaryTotal : undefined;
  };
  assert.equal(await seconds(), 0);
  clock.nowAtMs += 5000;
  assert.equal(await seconds(), 5);
  for (const jumpMs of [3_600_000, -7_200_000]) {
    const before = await seconds();
    clock.jumpedMs += jumpMs;
    clock.nowAtMs += 5000;
    assert.equal(await seconds(), before, `${jumpMs}: this look counts nothing`);
    clock.nowAtMs += 5000;
    assert.equal(await seconds(), (before ?? 0) + 5, `${jumpMs}: the next one counts on`);
  }
});

test('error lines are recognized in JSON, klog, logfmt and text, but not by the word "error" alone', () => {
  const errors = [
    '{"level":"error","msg":"x"}',
    '{"severity":"CRITICAL"}',
    '{"level":50,"msg":"x"}',
    "E0102 15:04:05.000001 1 main.go:1] x",
    "time=1 level=error msg=x",
    "2026-01-02 10:00:00 ERROR shop - x",
    "[2026-01-02] [ERROR] x",
    "Error: cannot read",
    "Traceback (most recent call last):",
  ];
  const others = [
    '{"level":"info","msg":"no error here"}',
    '{"level":30}',
    "I0102 15:04:05.000001 1 main.go:1] x",
    "level=info error=none",
    "0 errors found",
    "GET /error 200",
    "2026-01-02 INFO ERROR_COUNT is 0",
  ];
  assert.deepEqual(
    errors.filter((line) => !isErrorLine(line)),
    [],
  );
  assert.deepEqual(
    others.filter((line) => isErrorLine(line)),
    [],
  );
});

test("a pod's problem comes from its status, and includes how its container ended", () => {
  const status = (container: object): object => ({
    containerStatuses: [{ name: "app", ready: false, restartCount: 2, image: "", imageID: "", ...container }],
  });
  const crashed = podFacts(
    fakePod({
      name: "a",
      status: status({
        state: { waiting: { reason: "CrashLoopBackOff" } },
        lastState: { terminated: { exitCode: 1, reason: "Error" } },
      }),
    }),
  );
  assert.deepEqual(
    [crashed.problem, crashed.restarts, crashed.lastEnd],
    [
      { kind: "CrashLoopBackOff", detail: "app is in a crash loop, app ended with 1 (Error)" },
      2,
      "app ended with 1 (Error)",
    ],
  );
  const starved = podFacts(
    fakePod({
      name: "a",
      status: status({ state: { running: {} }, lastState: { terminated: { exitCode: 137, reason: "OOMKilled" } } }),
    }),
  );
  assert.equal(starved.problem?.kind, "OOMKilled");
  const imageless = podFacts(
    fakePod({
      name: "a",
      status: status({ restartCount: 0, state: { waiting: { reason: "ImagePullBackOff", message: "no such image" } } }),
    }),
  );
  assert.equal(imageless.problem?.detail, "app has an image that cannot be pulled: no such image");
  assert.equal(
    podFacts(fakePod({ name: "a", status: { conditions: [{ type: "Ready", status: "True" }] } })).ready,
    true,
  );
});

test("checks of what the canary's pods do know how many of them are ready, and others do not ask", async () => {
  const clock = standingClock();
  const ready = (name: string, status: "True" | "False") =>
    fakePod({
      name,
      workload: name.split("-")[0] ?? "",
      status: { conditions: [{ type: "Ready", status }] },
    });
  const view = fakeView([ready("next-0", "True"), ready("next-1", "False"), ready("now-0", "True"), gatewayPod("g")]);
  const observer = new CheckObserver({ client: noClient, view, clock, scrape: fakeScrape({ g: "" }) });
  const seen = async (type: CheckType, subject: CheckSubject = backends) =>
    (await observer.observe({ spec: spec(type), subject }, origin)).ready;
  assert.deepEqual(await seen("request-success-rate"), { canary: 1, stable: 1, isExpected: true });
  assert.deepEqual(await seen("pod-health"), { canary: 1, stable: 1, isExpected: false });
  assert.deepEqual(
    await seen("request-success-rate", { ...backends, expectedShare: 0 }),
    { canary: 1, stable: 1, isExpected: false },
    "a mirror",
  );
  assert.equal(await seen("request-success-rate", { type: "mesh" }), undefined);
});
