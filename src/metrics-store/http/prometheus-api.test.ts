import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { silentLogger, systemClock, userError, type Clock } from "../../base/index.ts";
import { labelsOf, metricName } from "../../promql/index.ts";
import { parseScrapeConfig, Scraper, type TargetSet } from "../scrape/index.ts";
import { targetsOf } from "../scrape/targets.ts";
import { SampleStore } from "../store/index.ts";
import { PrometheusApi } from "./prometheus-api.ts";

const nowMs = 1_700_000_000_000;
const standing = { ...systemClock, nowMs: () => nowMs };

const client = { clientAddress: "127.0.0.1", nextTurn: async (): Promise<void> => await Promise.resolve() };

function api(reload?: () => Promise<void>, clock: Clock = standing, targets?: TargetSet): PrometheusApi {
  const store = new SampleStore();
  for (const [code, value] of [
    ["200", 10],
    ["500", Infinity],
  ] as const)
    store.append(
      labelsOf([
        [metricName, "hits"],
        ["code", code],
      ]),
      nowMs - 1000,
      value,
    );
  const config = parseScrapeConfig("scrape_configs: [{job_name: j}]", "t");
  const scraper = new Scraper(config, { store, fetch: async () => undefined, clock, log: silentLogger, namespace: "" });
  return new PrometheusApi({
    store,
    scraper: targets === undefined ? scraper : ({ targets, loops: () => [] } as unknown as Scraper),
    clock,
    build: { version: "3.10.0", revision: "1" },
    flags: { "config.file": "f" },
    configText: () => "scrape_configs: []\n",
    reload,
  });
}

async function get(
  path: string,
  params: string | Record<string, string> = {},
  method = "GET",
): Promise<{ status: number; body: unknown }> {
  const answer = await api().handle({ method, path, params: new URLSearchParams(params), ...client });
  return { status: answer?.status ?? 0, body: answer === undefined ? undefined : JSON.parse(answer.body) };
}

test("an instant query answers in Prometheus' format, with values as strings", async () => {
  const { status, body } = await get("/api/v1/query", { query: "sort(hits)" });
  assert.equal(status, 200);
  const value = (text: string): [number, string] => [nowMs / 1000, text];
  assert.deepEqual(body, {
    status: "success",
    data: {
      resultType: "vector",
      result: [
        { metric: { __name__: "hits", code: "200" }, value: value("10") },
        { metric: { __name__: "hits", code: "500" }, value: value("+Inf") },
      ],
    },
  });
  assert.deepEqual((await get("/api/v1/query", { query: "2", time: "2023-11-14T22:13:20Z" })).body, {
    status: "success",
    data: { resultType: "scalar", result: [nowMs / 1000, "2"] },
  });
  assert.deepEqual((await get("/api/v1/query", { query: '"a"' })).body, {
    status: "success",
    data: { resultType: "string", result: [nowMs / 1000, "a"] },
  });
  assert.deepEqual((await get("/api/v1/query", { query: "hits", limit: "1" })).body, {
    status: "success",
    data: { resultType: "vector", result: [{ metric: { __name__: "hits", code: "200" }, value: value("10") }] },
    warnings: ["results truncated due to limit"],
  });
});

test("a range query answers a matrix", async () => {
  const { body } = await get("/api/v1/query_range", {
    query: 'hits{code="200"}',
    start: String(nowMs / 1000 - 60),
    end: String(nowMs / 1000),
    step: "30s",
  });
  assert.deepEqual(body, {
    status: "success",
    data: {
      resultType: "matrix",
      result: [{ metric: { __name__: "hits", code: "200" }, values: [[nowMs / 1000, "10"]] }],
    },
  });
});

const refusals: readonly (readonly [string, Record<string, string>, number, string, RegExp])[] = [
  ["/api/v1/query", { query: "hits{" }, 400, "bad_data", /character 6: unexpected end of input/],
  ["/api/v1/query", {}, 400, "bad_data", /the query is empty/],
  ["/api/v1/query", { query: "1", time: "yesterday" }, 400, "bad_data", /invalid parameter "time"/],
  ["/api/v1/query", { query: "1", limit: "x" }, 400, "bad_data", /invalid parameter "limit"/],
  ["/api/v1/query_range", { query: "1", start: "1", end: "2" }, 400, "bad_data", /invalid parameter "step"/],
  [
    "/api/v1/query_range",
    { query: "1", start: "2", end: "1", step: "1" },
    400,
    "bad_data",
    /the end is before the start/,
  ],
  ["/api/v1/query", { query: "hits + on() hits" }, 422, "execution", /matching labels must be unique/],
  ["/api/v1/series", {}, 400, "bad_data", /pass at least one selector/],
  ["/api/v1/series", { "match[]": "rate(x[5m])" }, 400, "bad_data", /expected a selector/],
  ["/api/v1/admin/tsdb/snapshot", {}, 404, "not_found", /is not known here/],
];

test("an invalid request is refused with Prometheus' status and kind of error", async () => {
  for (const [path, params, status, errorType, expected] of refusals) {
    const answer = await get(path, params);
    const body = answer.body as { status: string; errorType: string; error: string };
    assert.deepEqual([answer.status, body.status, body.errorType], [status, "error", errorType], path);
    assert.match(body.error, expected);
  }
});

test("series, labels and their values are listed, all or by selectors", async () => {
  const data = async (path: string, params: string | Record<string, string> = {}): Promise<unknown> =>
    ((await get(path, params)).body as { data: unknown }).data;
  assert.deepEqual(await data("/api/v1/labels"), ["__name__", "code"]);
  assert.deepEqual(await data("/api/v1/label/code/values"), ["200", "500"]);
  assert.deepEqual(await data("/api/v1/label/code/values", { "match[]": 'hits{code!="200"}' }), ["500"]);
  assert.deepEqual(await data("/api/v1/label/none/values"), []);
  assert.deepEqual(await data("/api/v1/series", 'match[]=hits{code="200"}&match[]={code=~"2.*"}'), [
    { __name__: "hits", code: "200" },
  ]);
  assert.deepEqual(await data("/api/v1/series", { "match[]": "hits", end: "1" }), []);
});

test("the status endpoints of dashboards exist", async () => {
  for (const path of [
    "targets",
    "scrape_pools",
    "metadata",
    "rules",
    "alerts",
    "status/config",
    "status/flags",
    "status/buildinfo",
    "status/runtimeinfo",
    "status/tsdb",
  ]) {
    const { status, body } = await get(`/api/v1/${path}`);
    assert.deepEqual([status, (body as { status: string }).status], [200, "success"], path);
  }
  assert.equal(
    (await api().handle({ method: "GET", path: "/-/ready", params: new URLSearchParams(), ...client }))?.status,
    200,
  );
  assert.equal(
    await api().handle({ method: "GET", path: "/graph", params: new URLSearchParams(), ...client }),
    undefined,
  );
});

test("a reload needs POST and permission, and reports why it failed", async () => {
  const reloaded = async (method: string, reload?: () => Promise<void>): Promise<readonly [number, string]> => {
    const answer = await api(reload).handle({ method, path: "/-/reload", params: new URLSearchParams(), ...client });
    return [answer?.status ?? 0, answer?.body ?? ""];
  };
  assert.deepEqual(await reloaded("POST", async () => undefined), [200, ""]);
  assert.equal((await reloaded("GET", async () => undefined))[0], 405);
  assert.equal((await reloaded("POST"))[0], 403);
  const [status, text] = await reloaded("POST", async () => {
    throw userError("file-invalid", "t: job_name: a name is required");
  });
  assert.equal(status, 500);
  assert.match(text, /failed to reload config: t: job_name/);
});

test("the selectors of one request are bounded together", async () => {
  const repeating = (index: number): string => `hits{code=~"(b?){1000}${index}"}`;
  const listed = (count: number, selector: (index: number) => string): string =>
    Array.from({ length: count }, (_, index) => `match[]=${encodeURIComponent(selector(index))}`).join("&");
  for (const path of ["/api/v1/series", "/api/v1/labels", "/api/v1/label/code/values"]) {
    assert.equal(
      (
        await get(
          path,
          listed(100, () => "hits"),
        )
      ).status,
      200,
      path,
    );
    for (const [params, expected] of [
      [listed(101, () => "hits"), /there are 101 "match\[\]" parameters, at most 100 are allowed; select several/],
      [listed(3, () => `hits{code="${"x".repeat(40_000)}"}`), /have 1200\d\d characters together/],
      [listed(9, repeating), /instructions, more than the \d+ that the expressions before it leave of 32768/],
    ] as const) {
      const { status, body } = await get(path, params);
      assert.equal(status, 400, path);
      assert.match((body as { error: string }).error, expected);
    }
  }
});

test("a list of series is ended in time, between two matches of any kind", async () => {
  for (const path of ["/api/v1/series", "/api/v1/labels", "/api/v1/label/code/values"])
    for (const operator of ["!=", "!~"]) {
      const params = new URLSearchParams(
        Array.from({ length: 9 }, (_, index) => `match[]=hits{code${operator}"x${index}"}`).join("&"),
      );
      const answer = await api(undefined, passingClock(500)).handle({ method: "GET", path, params, ...client });
      assert.equal(answer?.status, 503, path);
      assert.match(answer.body, /took longer than 2000 ms/);
    }
});

/** A clock that advances by `byMs` milliseconds at each reading. */
function passingClock(byMs = 1): Clock {
  let steadyMs = 0;
  return { ...standing, steadyMs: () => (steadyMs += byMs) };
}

test("a range query leaves the process to others between its steps, and their time does not count", async () => {
  const params = new URLSearchParams({ query: "hits", start: "0", end: "100", step: "1", timeout: "1s" });
  const clock = passingClock();
  let turns = 0;
  const waiting = async (): Promise<void> => {
    turns += 1;
    for (let looks = 0; looks < 500; looks += 1) clock.steadyMs();
    await Promise.resolve();
  };
  const request = { method: "GET", path: "/api/v1/query_range", params, ...client, nextTurn: waiting };
  assert.equal((await api(undefined, clock).handle(request))?.status, 200);
  assert.ok(turns > 5, `${turns} turns`);
});

test("a query whose single step takes long is ended, because nothing else runs meanwhile", async () => {
  const query = "max_over_time(max_over_time(hits[1h:1s])[1h:1s])";
  for (const [path, range] of [
    ["/api/v1/query", {}],
    ["/api/v1/query_range", { start: "0", end: "100", step: "1" }],
  ] as const) {
    const params = new URLSearchParams({ query, ...range });
    const answer = await api(undefined, passingClock()).handle({ method: "GET", path, params, ...client });
    assert.equal(answer?.status, 503);
    assert.match(answer.body, /a step of the query took longer than 2000 ms; select fewer series, or shorter ranges/);
  }
});

test("at most two range queries are in progress, one for each address, and others begin when one ends", async () => {
  const tested = api(undefined, passingClock());
  const params = new URLSearchParams({ query: "hits", start: "0", end: "100", step: "1" });
  const answered: string[] = [];
  const ask = async (name: string, clientAddress: string, nextTurn: () => Promise<void>): Promise<void> => {
    const request = { method: "GET", path: "/api/v1/query_range", params, clientAddress, nextTurn };
    const status = await tested.handle(request).then(
      (answer) => answer?.status,
      () => "failed",
    );
    answered.push(`${name} ${status}`);
  };
  const held = Promise.withResolvers<undefined>();
  const gone = Promise.withResolvers<undefined>();
  const turn = async (): Promise<void> => await setImmediate();
  const all = [
    ask("held", "10.0.0.1", async () => await held.promise),
    ask("same address", "10.0.0.1", turn),
    ask("gone", "10.0.0.2", async () => await gone.promise),
    ask("third address", "10.0.0.3", turn),
  ];
  for (let turns = 0; turns < 100; turns += 1) await turn();
  assert.deepEqual(answered, []);
  gone.reject(new Error("the client has left"));
  await all[3];
  await all[2];
  assert.deepEqual(new Set(answered), new Set(["gone 500", "third address 200"]));
  held.resolve(undefined);
  await Promise.all(all);
  assert.deepEqual(answered.slice(2), ["held 200", "same address 200"]);
});

test("dropped targets are counted for each job, whatever its name", async () => {
  const { dropped, droppedCount } = targetsOf(
    parseScrapeConfig(
      "scrape_configs: [{job_name: constructor, static_configs: [{targets: [x]}], relabel_configs: [{action: drop, source_labels: [__address__], regex: x}]}]",
      "t",
    ),
    { pods: [], services: [], endpoints: [], nodes: [] },
    "",
  );
  const counts = api(undefined, standing, { active: [], dropped, droppedCount });
  const answer = await counts.handle({
    method: "GET",
    path: "/api/v1/targets",
    params: new URLSearchParams(),
    ...client,
  });
  const { data } = JSON.parse(answer?.body ?? "{}") as { data?: { droppedTargetCounts?: unknown } };
  assert.deepEqual(data?.droppedTargetCounts, { constructor: 1 });
});
