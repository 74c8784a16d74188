import assert from "node:assert/strict";
import { test } from "node:test";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { AccessLogSchema, HttpHealthCheckSchema } from "../../wire/envoy/index.ts";
import { HandClock } from "../../base/testing/index.ts";
import { ConfigNotes } from "../config/config-check.ts";
import { compileHealthCheck } from "../config/filters/health-check-config.ts";
import { compileLogFilter } from "../config/access-logs/log-filter-config.ts";
import { plainRecord } from "../testing/plain-record.ts";
import { endpointAt, forwardTo, Harness, route, tableOf } from "../testing/harness.ts";
import { standaloneServices, type FilterServices } from "./filter-services.ts";
import { HealthCheckFilter } from "./health-check-filter.ts";

const notes = new ConfigNotes((note) => assert.fail(note));
const compile = (config: JsonObject) => compileHealthCheck(fromJson(HttpHealthCheckSchema, config), "test", notes);

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
      ["http.in.health_check.cached_response", 0],
      ["http.in.health_check.degraded", 0],
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
  const logs = (isHealthCheck: boolean): boolean => wants({ ...plainRecord, isHealthCheck }, index);
  assert.deepEqual([logs(false), logs(true)], [true, false]);
});

test("without headers to match, every request is a health check", async () => {
  const filter = new HealthCheckFilter("h", compile({ passThroughMode: false }), standaloneServices(), "");
  await using harness = await Harness.start({ filters: [filter], filtersIdle: false });
  harness.table = tableOf(route(forwardTo("none")));
  assert.equal((await harness.get("/any")).status, 200);
});

/**
 * A proxy whose upstream answers health checks. A check with `x-degraded` in its target gets a degraded answer. Also
 * returns the proxy's counters, by name.
 */
async function passing(
  services: FilterServices,
  config: JsonObject,
): Promise<{ readonly harness: Harness; readonly checkedUrls: string[] }> {
  const settings = compile({
    passThroughMode: true,
    headers: [{ name: ":path", stringMatch: { prefix: "/healthz" } }],
    ...config,
  });
  const filter = new HealthCheckFilter("envoy.filters.http.health_check", settings, services, "");
  const harness = await Harness.start({ filters: [filter], filtersIdle: false });
  const checkedUrls: string[] = [];
  const backend = await harness.backend(({ url = "" }, answer) => {
    checkedUrls.push(url);
    if (url.includes("degraded")) answer.setHeader("x-envoy-degraded", "true");
    answer.statusCode = url.includes("ill") ? 503 : 200;
    answer.end("upstream");
  });
  harness.cluster("a", [backend.port]);
  harness.table = tableOf(route(forwardTo("a")));
  return { harness, checkedUrls };
}

test("in pass-through mode the upstream answers checks, unless an order has made the proxy unhealthy", async () => {
  let fails = false;
  const services = { ...standaloneServices(), serviceName: "web.shop", failsHealthChecks: () => fails };
  const { harness, checkedUrls } = await passing(services, {});
  await using _ = harness;
  const check = async (): Promise<unknown> => {
    const { status, body, headers } = await harness.get("/healthz");
    return [status, body, headers["x-envoy-upstream-healthchecked-cluster"]];
  };
  assert.deepEqual(
    [await check(), await check()],
    [
      [200, "upstream", "web.shop"],
      [200, "upstream", "web.shop"],
    ],
  );
  assert.equal((await harness.get("/other")).headers["x-envoy-upstream-healthchecked-cluster"], undefined);
  assert.equal(services.statistics.counter("health_check.request_total").value, 0);
  fails = true;
  assert.deepEqual(await check(), [503, "", "web.shop"]);
  assert.deepEqual(checkedUrls, ["/healthz", "/healthz", "/other"]);
});

test("an answer of the upstream serves further checks until the interval ends, with its status and x-envoy-degraded", async () => {
  // This test expects the answers, flags, details and counts of Envoy 1.40.
  const clock = new HandClock();
  const services = { ...standaloneServices(), clock, serviceName: "web.shop" };
  const { harness, checkedUrls } = await passing(services, { cacheTime: "2s" });
  await using _ = harness;
  const check = async (target: string): Promise<unknown> => {
    const { status, body, headers } = await harness.get(target);
    const { flag, details } = harness.records.at(-1) ?? {};
    return [status, body, headers["x-envoy-degraded"], flag, details];
  };
  assert.deepEqual(await check("/healthz?ill"), [503, "upstream", undefined, "-", "via_upstream"]);
  clock.pass(1999);
  assert.deepEqual(await check("/healthz"), [503, "", undefined, "LH", "health_check_cached"]);
  clock.pass(1);
  assert.deepEqual(await check("/healthz?degraded"), [200, "upstream", "true", "-", "via_upstream"]);
  assert.deepEqual(await check("/healthz"), [200, "", "", "-", "health_check_cached"]);
  assert.deepEqual(await check("/other"), [200, "upstream", undefined, "-", "via_upstream"]);
  assert.deepEqual(checkedUrls, ["/healthz?ill", "/healthz?degraded", "/other"]);
  const counted = ["request_total", "ok", "failed", "cached_response", "degraded"].map(
    (name) => services.statistics.counter(`health_check.${name}`).value,
  );
  assert.deepEqual(counted, [2, 1, 1, 2, 1]);
});

test("a check is answered by the health of clusters, if percentages of usable endpoints are required", async () => {
  const services = standaloneServices();
  const clusters: { current?: Harness } = {};
  const settings = compile({
    passThroughMode: false,
    headers: [{ name: ":path", stringMatch: { exact: "/healthz" } }],
    clusterMinHealthyPercentages: { a: { value: 50 }, none: { value: 0 } },
  });
  const filter = new HealthCheckFilter(
    "envoy.filters.http.health_check",
    settings,
    { ...services, clusterHealth: (name) => clusters.current?.clusters.get(name)?.health },
    "",
  );
  await using harness = await Harness.start({ filters: [filter], filtersIdle: false });
  clusters.current = harness;
  const check = async (): Promise<string> => {
    const { status } = await harness.get("/healthz");
    return `${status} ${harness.records.at(-1)?.details ?? ""}`;
  };
  assert.equal(await check(), "503 health_check_failed_no_cluster_found");
  harness.cluster("none", []);
  const cluster = harness.cluster("a", []);
  assert.equal(await check(), "503 health_check_failed_cluster_empty");
  cluster.setEndpoints([endpointAt(1), endpointAt(2, { healthy: false })]);
  assert.equal(await check(), "200 health_check_ok_cluster_healthy");
  cluster.setEndpoints([endpointAt(1), endpointAt(2, { healthy: false }), endpointAt(3, { healthy: false })]);
  assert.equal(await check(), "503 health_check_failed_cluster_unhealthy");
});

test("a filter without a mode, and one with a cache but no pass-through, are refused, and the error names the field", () => {
  assert.throws(() => compile({}), /passThroughMode must be set/);
  assert.throws(() => compile({ passThroughMode: false, cacheTime: "1s" }), /cacheTime must not be set unless/);
});
