import assert from "node:assert/strict";
import { test } from "node:test";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { AccessLogSchema, HttpHealthCheckSchema } from "../../wire/envoy/index.ts";
import { ConfigNotes } from "../config/config-check.ts";
import { compileHealthCheck } from "../config/health-check-config.ts";
import { compileLogFilter } from "../config/log-filter-config.ts";
import { plainRecord } from "../testing/plain-record.ts";
import { forwardTo, Harness, route, tableOf } from "../testing/harness.ts";
import { standaloneServices, type FilterServices } from "./filter-services.ts";
import { HealthCheckFilter } from "./health-check-filter.ts";

const notes = new ConfigNotes((note) => assert.fail(note));
const compile = (config: JsonObject) => compileHealthCheck(fromJson(HttpHealthCheckSchema, config), "test", notes);

/** A proxy that answers checks of one path, in front of a server. */
async function answering(services: FilterServices, statPrefix: string): Promise<Harness> {
  const isCheck = compile({
    passThroughMode: false,
    headers: [{ name: ":path", stringMatch: { exact: "/healthz" } }],
  });
  const filter = new HealthCheckFilter("envoy.filters.http.health_check", isCheck, services, statPrefix);
  const harness = await Harness.start({ filters: [filter], filtersIdle: false });
  harness.cluster("a", [(await harness.backend((_, answer) => answer.end("upstream"))).port]);
  harness.table = tableOf(route(forwardTo("a")));
  return harness;
}

test("a request that matches is answered by the proxy, with its service; any other one passes", async () => {
  const services = { ...standaloneServices(), serviceName: "web.shop" };
  await using harness = await answering(services, "http.in.");
  for (const method of ["GET", "POST"]) {
    const answer = await harness.get("/healthz", { method });
    assert.deepEqual(
      [answer.status, answer.body, answer.headers["x-envoy-upstream-healthchecked-cluster"]],
      [200, "", "web.shop"],
    );
  }
  assert.equal(harness.records.at(-1)?.details, "health_check_ok");
  for (const path of ["/", "/healthz?x", "/healthz/"]) assert.equal((await harness.get(path)).body, "upstream", path);
  assert.deepEqual(
    [...services.statistics.entries()].map(([name, { value }]) => [name, value]),
    [
      ["http.in.health_check.request_total", 2],
      ["http.in.health_check.ok", 2],
      ["http.in.health_check.failed", 0],
    ],
  );
});

test("a proxy whose health checks fail on order answers 503, and its other responses have x-envoy-immediate-health-check-fail", async () => {
  const services = { ...standaloneServices(), serviceName: "web.shop", failsHealthChecks: () => true };
  await using harness = await answering(services, "");
  const check = await harness.get("/healthz");
  assert.equal(check.status, 503);
  assert.equal(check.headers["x-envoy-immediate-health-check-fail"], "true");
  assert.equal(check.headers["x-envoy-upstream-healthchecked-cluster"], "web.shop");
  const { flag, details } = harness.records.at(-1) ?? {};
  assert.deepEqual([flag, details], ["LH", "health_check_failed"]);
  const other = await harness.get("/");
  assert.deepEqual([other.status, other.headers["x-envoy-immediate-health-check-fail"]], [200, "true"]);
  assert.equal(services.statistics.counter("health_check.failed").value, 1);
});

test("access logs that exclude health checks do not record the answers", () => {
  const { filter = assert.fail() } = fromJson(AccessLogSchema, { filter: { notHealthCheckFilter: {} } });
  const { wants } = compileLogFilter(filter, "test");
  const index = { request: new Map<string, number>(), response: new Map<string, number>() };
  const logs = (details: string): boolean => wants({ ...plainRecord, details }, index);
  assert.deepEqual(["via_upstream", "health_check_ok", "health_check_failed"].map(logs), [true, false, false]);
});

test("without headers to match, every request is a health check", async () => {
  const filter = new HealthCheckFilter("h", compile({ passThroughMode: false }), standaloneServices(), "");
  await using harness = await Harness.start({ filters: [filter], filtersIdle: false });
  harness.table = tableOf(route(forwardTo("none")));
  assert.equal((await harness.get("/any")).status, 200);
});

test("modes that query or evaluate the upstream are refused, and the error names them", () => {
  assert.throws(() => compile({}), /passThroughMode must be set/);
  assert.throws(() => compile({ passThroughMode: true }), /passThroughMode true is not supported/);
  assert.throws(() => compile({ passThroughMode: true, cacheTime: "1s" }), /the field cacheTime is not supported/);
  assert.throws(
    () => compile({ passThroughMode: false, clusterMinHealthyPercentages: { a: { value: 50 } } }),
    /the field clusterMinHealthyPercentages is not supported/,
  );
});
