import assert from "node:assert/strict";
import { test } from "node:test";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { systemClock } from "../../base/index.ts";
import { LocalRateLimitSchema } from "../../wire/envoy/index.ts";
import { ConfigNotes } from "../config/config-check.ts";
import { compileLocalRateLimit, compileLocalRateLimitPerRoute } from "../config/local-rate-limit-config.ts";
import { testRequest } from "../testing/filter-request.ts";
import { standaloneServices } from "./filter-services.ts";
import { LocalRateLimitFilter } from "./local-rate-limit-filter.ts";

test("tokens are consumed and restored at intervals; a route has its own; an unenforced limit only counts", () => {
  let steadyMs = 0;
  const services = { ...standaloneServices(), clock: { ...systemClock, steadyMs: () => steadyMs } };
  const notes = new ConfigNotes(() => undefined, services);
  const all = { defaultValue: { numerator: 100 } };
  const bucket = { maxTokens: 2, tokensPerFill: 1, fillInterval: "1s" };
  const compile = (config: JsonObject) =>
    compileLocalRateLimit(
      fromJson(LocalRateLimitSchema, { statPrefix: "limiter", filterEnabled: all, filterEnforced: all, ...config }),
      "test",
      notes,
    );
  const filter = new LocalRateLimitFilter(
    "limit",
    compile({ tokenBucket: bucket, responseHeadersToAdd: [{ header: { key: "x-limited", value: "yes" } }] }),
    services,
  );
  const ask = (): number => filter.onRequest(testRequest())?.status ?? 200;
  assert.deepEqual([ask(), ask(), ask()], [200, 200, 429]);
  steadyMs = 1500;
  assert.deepEqual([ask(), ask()], [200, 429]);
  steadyMs = 2000;
  assert.deepEqual([ask(), filter.onRequest(testRequest())?.headers], [200, [["x-limited", "yes"]]]);
  const own = new Map([
    [
      "limit",
      compile({ tokenBucket: { ...bucket, maxTokens: 1 }, filterEnforced: { defaultValue: { numerator: 0 } } }),
    ],
  ]);
  assert.equal(filter.onRequest(testRequest("/", { filterConfigs: own })), undefined);
  assert.equal(filter.onRequest(testRequest("/", { filterConfigs: own })), undefined);
  assert.equal(services.statistics.counter("limiter.http_local_rate_limit.rate_limited").value, 4);
  assert.equal(services.statistics.counter("limiter.http_local_rate_limit.enforced").value, 3);
  assert.equal(new LocalRateLimitFilter("limit", compile({}), services).onRequest(testRequest()), undefined);
});

test("a bucket that holds nothing, is never filled, or is filled too often is refused by its field", () => {
  const notes = new ConfigNotes(() => undefined, standaloneServices());
  const bucket = { maxTokens: 2, tokensPerFill: 1, fillInterval: "1s" };
  for (const [field, value] of Object.entries({ maxTokens: 0, tokensPerFill: 0, fillInterval: "0.01s" })) {
    const message = fromJson(LocalRateLimitSchema, {
      statPrefix: "limiter",
      tokenBucket: { ...bucket, [field]: value },
    });
    assert.throws(
      () => compileLocalRateLimit(message, "test", notes),
      new RegExp(`tokenBucket\\.${field} must be at least`),
    );
  }
});

test("response fields are appended, overwritten or added if absent, with values of the request", () => {
  const services = standaloneServices();
  const compile = (config: JsonObject) =>
    compileLocalRateLimit(
      fromJson(LocalRateLimitSchema, {
        statPrefix: "limiter",
        filterEnabled: { defaultValue: { numerator: 100 } },
        tokenBucket: { maxTokens: 1, fillInterval: "3600s" },
        ...config,
      }),
      "test",
      new ConfigNotes(() => undefined, services),
    );
  const field = (key: string, value: string, appendAction: string): JsonObject => ({
    header: { key, value },
    appendAction,
  });
  const fields = [
    field("x-a", "1", "APPEND_IF_EXISTS_OR_ADD"),
    field("x-b", "1", "OVERWRITE_IF_EXISTS"),
    field("x-c", "1", "ADD_IF_ABSENT"),
    field("x-d", "1", "OVERWRITE_IF_EXISTS_OR_ADD"),
    field("x-e", "%REQ(x-a)%", "APPEND_IF_EXISTS_OR_ADD"),
  ];
  const open = new LocalRateLimitFilter("limit", compile({ requestHeadersToAddWhenNotEnforced: fields }), services);
  assert.equal(open.onRequest(testRequest()), undefined);
  const told = testRequest("/", { headers: { "x-a": "0", "x-c": "0", "x-d": "0" } });
  assert.equal(open.onRequest(told), undefined);
  assert.deepEqual(Object.fromEntries(told.fields), { "x-a": "0,1", "x-c": "0", "x-d": "1", "x-e": "0" });
  const closed = new LocalRateLimitFilter(
    "limit",
    compile({
      filterEnforced: { defaultValue: { numerator: 100 } },
      responseHeadersToAdd: [...fields, field("x-code", "%RESPONSE_CODE%", "ADD_IF_ABSENT")],
    }),
    services,
  );
  assert.equal(closed.onRequest(testRequest()), undefined);
  assert.deepEqual(closed.onRequest(testRequest())?.headers, [
    ["x-a", "1"],
    ["x-c", "1"],
    ["x-d", "1"],
    ["x-code", "429"],
  ]);
  assert.throws(
    () => compile({ responseHeadersToAdd: [field("content-length", "1", "ADD_IF_ABSENT")] }),
    /test: responseHeadersToAdd: the header content-length must not be changed/,
  );
});

test("a route's limit without a bucket is refused, because it would limit nothing", () => {
  const message = fromJson(LocalRateLimitSchema, { statPrefix: "limiter" });
  assert.throws(
    () => compileLocalRateLimitPerRoute(message, "test", new ConfigNotes(() => undefined)),
    /test: tokenBucket must be set/,
  );
});
