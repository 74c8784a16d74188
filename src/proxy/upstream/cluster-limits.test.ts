import { roomFor } from "../testing/plain-specs.ts";
import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "../../base/testing/index.ts";
import type { HashPolicy } from "../routing/hash-policy.ts";
import { forwardTo, Harness, retryPolicy, route, tableOf } from "../testing/harness.ts";
import { defaultBalancing } from "./balancing.ts";

test("requests beyond the connection and pending limits are refused at once with the flag UO", async () => {
  await using harness = await Harness.start();
  const gate = Promise.withResolvers<void>();
  const { port } = await harness.backend((_request, response) => void gate.promise.then(() => response.end("ok")));
  const cluster = harness.cluster("c", [port], roomFor(1, 1));
  harness.table = tableOf(route(forwardTo("c")));
  const answers = Array.from({ length: 5 }, () => harness.get("/"));
  await until(() => harness.records.length >= 3);
  gate.resolve();
  const statuses = (await Promise.all(answers)).map(({ status }) => status).sort((left, right) => left - right);
  assert.deepEqual(statuses, [200, 200, 503, 503, 503]);
  assert.deepEqual(
    harness.records.slice(0, 3).map(({ flag }) => flag),
    ["UO", "UO", "UO"],
  );
  assert.equal(cluster.breaker.pending.overflows, 3);
  assert.deepEqual([cluster.breaker.pending.active, cluster.breaker.requests.active], [0, 0]);
});

test("without a retry budget, the first answer is final", async () => {
  await using harness = await Harness.start();
  const { port } = await harness.backend((_request, response) => response.writeHead(503).end());
  harness.table = tableOf(route(forwardTo("c", { retry: retryPolicy({ on: { serverError: true } }) })));
  const attempts = async (maxRetries: number): Promise<number> => {
    const cluster = harness.cluster("c", [port], { maxRetries });
    assert.equal((await harness.get("/")).status, 503);
    assert.equal(cluster.breaker.retries.active, 0);
    return cluster.counters.requests;
  };
  assert.deepEqual([await attempts(10), await attempts(0)], [3, 1]);
});

test("an endpoint that answers errors in a row is ejected, and requests go to the others", async () => {
  await using harness = await Harness.start();
  const bad = await harness.backend((_request, response) => response.writeHead(500).end("bad"));
  const good = await harness.backend((_request, response) => response.end("good"));
  const outliers = {
    consecutiveServerErrors: 2,
    consecutiveGatewayErrors: 0,
    consecutiveLocalErrors: 0,
    splitsLocalErrors: false,
    intervalMs: 1000,
    baseEjectionMs: 60_000,
    maxEjectionMs: 60_000,
    ejectionJitterMs: 0,
    maxEjectionPercent: 50,
    alwaysEjectsOne: false,
  };
  harness.cluster("c", [bad.port, good.port], { outliers });
  harness.table = tableOf(route(forwardTo("c")));
  const bodies: string[] = [];
  for (let index = 0; index < 12; index += 1) bodies.push((await harness.get("/")).body);
  assert.equal(bodies.filter((body) => body === "bad").length, 2);
  assert.equal(harness.clusters.get("c")?.outlierCounters?.ejections, 1);
});

test("a cookie keeps a client at its endpoint, and a client without one gets one", async () => {
  await using harness = await Harness.start();
  const ports: number[] = [];
  for (const name of ["a", "b", "c"])
    ports.push((await harness.backend((_request, response) => response.end(name))).port);
  const cookie: HashPolicy = {
    kind: "cookie",
    name: "session",
    path: "/",
    ttlSeconds: 60,
    attributes: ["SameSite=Strict"],
    terminal: false,
  };
  harness.cluster("c", ports, { loadBalancing: "ring-hash", balancing: { ...defaultBalancing, minRingSize: 1024 } });
  harness.table = tableOf(route(forwardTo("c", { hashPolicies: [cookie] })));
  const first = await harness.get("/");
  const [given = ""] = first.headers["set-cookie"] ?? [];
  assert.match(given, /^session="[0-9a-f]{16}"; Max-Age=60; Path=\/; SameSite=Strict; HttpOnly$/);
  const sent = { cookie: given.split(";")[0] ?? "" };
  for (let index = 0; index < 5; index += 1) {
    const again = await harness.get("/", { headers: sent });
    assert.deepEqual([again.body, again.headers["set-cookie"]], [first.body, undefined]);
  }
  const bodies = new Set<string>();
  for (let index = 0; index < 30; index += 1)
    bodies.add((await harness.get("/", { headers: { cookie: `session=${index}` } })).body);
  assert.deepEqual([...bodies].sort(), ["a", "b", "c"]);
});
