import { roomFor } from "../testing/plain-specs.ts";
import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "../../base/testing/index.ts";
import { forwardTo, Harness, route, tableOf } from "../testing/harness.ts";
import type { Cluster } from "../upstream/cluster.ts";
import { ClusterStats } from "./cluster-stats.ts";

const all = new ClusterStats({ of: (_scope, stats) => stats });
const statisticsOf = (cluster: Cluster): Map<string, number> =>
  new Map(all.rows(cluster).map(({ name, value }) => [name, value]));

test("gauges say which limits of a cluster are reached, and what is left of them", async () => {
  await using harness = await Harness.start();
  const gate = Promise.withResolvers<void>();
  const { port } = await harness.backend((_request, response) => void gate.promise.then(() => response.end("ok")));
  const more = { ...roomFor(1, 2), maxRequests: 9, tracksRemaining: true, statName: "outbound|80||a;" };
  const cluster = harness.cluster("c", [port], more);
  harness.table = tableOf(route(forwardTo("c")));
  const breaker = "cluster.outbound|80||a;.circuit_breakers.default";
  const read = (): Record<string, number | undefined> => {
    const statistics = statisticsOf(cluster);
    return Object.fromEntries(
      ["cx_open", "rq_open", "rq_pending_open", "remaining_cx", "remaining_rq", "remaining_pending"].map((name) => [
        name,
        statistics.get(`${breaker}.${name}`),
      ]),
    );
  };
  const quiet = { cx_open: 0, rq_open: 0, rq_pending_open: 0, remaining_cx: 1, remaining_rq: 9, remaining_pending: 2 };
  assert.deepEqual(read(), quiet);
  const answers = Array.from({ length: 4 }, () => harness.get("/"));
  await until(() => harness.records.length === 1);
  assert.deepEqual(read(), {
    cx_open: 1,
    rq_open: 0,
    rq_pending_open: 1,
    remaining_cx: 0,
    remaining_rq: 6,
    remaining_pending: 0,
  });
  assert.equal(statisticsOf(cluster).get("cluster.outbound|80||a;.upstream_rq_pending_active"), 2);
  gate.resolve();
  await Promise.all(answers);
  // The connection stays open for further requests.
  assert.deepEqual(read(), { ...quiet, cx_open: 1, remaining_cx: 0 });
  const after = statisticsOf(cluster);
  const counted = ["pending_total", "pending_overflow", "2xx"].map((name) =>
    after.get(`cluster.outbound|80||a;.upstream_rq_${name}`),
  );
  assert.deepEqual(counted, [3, 1, 3]);
});

test("without trackRemaining, no statistic says what is left of a limit", async () => {
  await using harness = await Harness.start();
  const names = [...statisticsOf(harness.cluster("c", [], roomFor(1, 1))).keys()];
  assert.equal(names.filter((name) => name.includes("circuit_breakers.default")).length, 5);
  assert.deepEqual(
    names.filter((name) => name.includes("remaining")),
    [],
  );
});

test("the totals of a cluster's connections include those of removed endpoints", async () => {
  await using harness = await Harness.start();
  const { port } = await harness.backend((_request, response) => response.end("ok"));
  const cluster = harness.cluster("c", [port]);
  harness.table = tableOf(route(forwardTo("c")));
  await harness.get("/");
  const total = (): number | undefined => statisticsOf(cluster).get("cluster.c.upstream_cx_total");
  assert.equal(total(), 1);
  cluster.setEndpoints([]);
  assert.equal(total(), 1);
});
