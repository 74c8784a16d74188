import assert from "node:assert/strict";
import { test } from "node:test";
import { CheckObserver } from "./check-observer.ts";
import { httpExchange, type HttpExchange } from "./http-exchange.ts";
import { fakeScrape, fakeView, gatewayPod, standingClock } from "./testing/fake-mesh.ts";
import { backends, noClient, origin, spec } from "./testing/one-check.ts";

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
