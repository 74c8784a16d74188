import assert from "node:assert/strict";
import { test } from "node:test";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { systemClock } from "../../base/index.ts";
import { LocalRateLimitSchema } from "../../wire/envoy/index.ts";
import { ConfigNotes } from "../config/config-check.ts";
import { compileLocalRateLimit } from "../config/local-rate-limit-config.ts";
import { testRequest } from "../testing/filter-request.ts";
import { standaloneServices } from "./filter-services.ts";
import { LocalRateLimitFilter } from "./local-rate-limit-filter.ts";

test("tokens are used up and come back at intervals; a route has its own; what is not enforced is only counted", () => {
  let steadyMs = 0;
  const services = { ...standaloneServices(), clock: { ...systemClock, steadyMs: () => steadyMs } };
  const notes = new ConfigNotes(() => undefined, services);
  const all = { defaultValue: { numerator: 100 } };
  const bucket = { maxTokens: 2, tokensPerFill: 1, fillInterval: "1s" };
  const compile = (config: JsonObject) => compileLocalRateLimit(fromJson(LocalRateLimitSchema, { statPrefix: "limiter", filterEnabled: all, filterEnforced: all, ...config }), "test", notes);
  const filter = new LocalRateLimitFilter("limit", compile({ tokenBucket: bucket, responseHeadersToAdd: [{ header: { key: "x-limited", value: "yes" } }] }), services);
  const ask = (): number => filter.onRequest(testRequest())?.status ?? 200;
  assert.deepEqual([ask(), ask(), ask()], [200, 200, 429]);
  steadyMs = 1500;
  assert.deepEqual([ask(), ask()], [200, 429]);
  steadyMs = 2000;
  assert.deepEqual([ask(), filter.onRequest(testRequest())?.headers], [200, [["x-limited", "yes"]]]);
  const own = new Map([["limit", compile({ tokenBucket: { ...bucket, maxTokens: 1 }, filterEnforced: { defaultValue: { numerator: 0 } } })]]);
  assert.equal(filter.onRequest(testRequest("/", { filterConfigs: own })), undefined);
  assert.equal(filter.onRequest(testRequest("/", { filterConfigs: own })), undefined);
  assert.equal(services.statistics.counter("limiter.http_local_rate_limit.rate_limited").value, 4);
  assert.equal(services.statistics.counter("limiter.http_local_rate_limit.enforced").value, 3);
  assert.equal(new LocalRateLimitFilter("limit", compile({}), services).onRequest(testRequest()), undefined);
});

test("a bucket that would hold nothing, never be filled, or be filled too often is refused by its field", () => {
  const notes = new ConfigNotes(() => undefined, standaloneServices());
  const bucket = { maxTokens: 2, tokensPerFill: 1, fillInterval: "1s" };
  for (const [field, value] of Object.entries({ maxTokens: 0, tokensPerFill: 0, fillInterval: "0.01s" })) {
    const message = fromJson(LocalRateLimitSchema, { statPrefix: "limiter", tokenBucket: { ...bucket, [field]: value } });
    assert.throws(() => compileLocalRateLimit(message, "test", notes), new RegExp(`tokenBucket\\.${field} must be at least`));
  }
});
