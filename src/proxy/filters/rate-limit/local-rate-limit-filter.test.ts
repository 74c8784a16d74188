import assert from "node:assert/strict";
import { test } from "node:test";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { systemClock } from "../../../base/index.ts";
import { HandClock } from "../../../base/testing/index.ts";
import { LocalRateLimitSchema } from "../../../wire/envoy/index.ts";
import { ConfigNotes } from "../../config/config-check.ts";
import { compileLocalRateLimit, compileLocalRateLimitPerRoute } from "../../config/filters/local-rate-limit-config.ts";
import { testRequest } from "../../testing/filter-request.ts";
import { standaloneServices } from "../filter-services.ts";
import { LocalRateLimitFilter } from "./local-rate-limit-filter.ts";

test("tokens are consumed and flow in evenly; a route has its own; an unenforced limit only counts", () => {
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
  const statusOf = (): number => filter.onRequest(testRequest())?.status ?? 200;
  assert.deepEqual([statusOf(), statusOf(), statusOf()], [200, 200, 429]);
  steadyMs = 999;
  assert.equal(statusOf(), 429);
  steadyMs = 1500;
  assert.deepEqual([statusOf(), statusOf()], [200, 429]);
  steadyMs = 2000;
  assert.deepEqual([statusOf(), filter.onRequest(testRequest())?.headers], [200, [["x-limited", "yes"]]]);
  const own = new Map([
    [
      "limit",
      compile({ tokenBucket: { ...bucket, maxTokens: 1 }, filterEnforced: { defaultValue: { numerator: 0 } } }),
    ],
  ]);
  assert.equal(filter.onRequest(testRequest("/", { filterConfigs: own })), undefined);
  assert.equal(filter.onRequest(testRequest("/", { filterConfigs: own })), undefined);
  assert.equal(services.statistics.counter("limiter.http_local_rate_limit.rate_limited").value, 5);
  assert.equal(services.statistics.counter("limiter.http_local_rate_limit.enforced").value, 4);
  assert.equal(new LocalRateLimitFilter("limit", compile({}), services).onRequest(testRequest()), undefined);
});

test("a bucket that holds no token, is never filled, or is filled too often is refused, and the error names its field", () => {
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
  const request = testRequest("/", { headers: { "x-a": "0", "x-c": "0", "x-d": "0" } });
  assert.equal(open.onRequest(request), undefined);
  assert.deepEqual(Object.fromEntries(request.fields), { "x-a": "0,1", "x-c": "0", "x-d": "1", "x-e": "0" });
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
    () => compile({ responseHeadersToAdd: [field(":status", "1", "ADD_IF_ABSENT")] }),
    /test: responseHeadersToAdd: the header :status must not be changed/,
  );
});

test("a route's limit without a bucket is refused, because it would limit nothing", () => {
  const message = fromJson(LocalRateLimitSchema, { statPrefix: "limiter" });
  assert.throws(
    () => compileLocalRateLimitPerRoute(message, "test", new ConfigNotes(() => undefined)),
    /test: tokenBucket must be set/,
  );
});

/** Makes a filter with limits by descriptors. Returns a function that says what the filter answers a user. */
function limited(config: JsonObject): (user: string, path?: string) => number {
  const services = { ...standaloneServices(), clock: { ...systemClock, steadyMs: () => 0 } };
  const all = { defaultValue: { numerator: 100 } };
  const message = fromJson(LocalRateLimitSchema, {
    statPrefix: "limiter",
    filterEnabled: all,
    filterEnforced: all,
    rateLimits: [
      { actions: [{ requestHeaders: { headerName: "user", descriptorKey: "user" } }] },
      { actions: [{ requestHeaders: { headerName: ":path", descriptorKey: "path" } }] },
    ],
    ...config,
  });
  const settings = compileLocalRateLimit(message, "test", new ConfigNotes(() => undefined, services));
  const filter = new LocalRateLimitFilter("limit", settings, services);
  return (user, path = "/") => filter.onRequest(testRequest(path, { headers: { user } }))?.status ?? 200;
}

const tokens = (maxTokens: number): JsonObject => ({ maxTokens, fillInterval: "3600s" });
const forUser = (value: string, maxTokens: number): JsonObject => ({
  entries: [{ key: "user", value }],
  tokenBucket: tokens(maxTokens),
});

test("a request takes tokens of its descriptors' limits, and of the filter's bucket unless that one is only for other requests", () => {
  const descriptors = [forUser("ann", 2)];
  const both = limited({ tokenBucket: tokens(3), descriptors });
  assert.deepEqual([both("ann"), both("ann"), both("ann")], [200, 200, 429]);
  assert.deepEqual([both("bob"), both("bob")], [200, 429]);
  const apart = limited({ tokenBucket: tokens(1), descriptors, alwaysConsumeDefaultTokenBucket: false });
  assert.deepEqual([apart("ann"), apart("ann"), apart("ann")], [200, 200, 429]);
  assert.deepEqual([apart("bob"), apart("bob")], [200, 429]);
  const alone = limited({ descriptors });
  assert.deepEqual([alone("ann"), alone("ann"), alone("ann"), alone("bob")], [200, 200, 429, 200]);
});

test("the slowest of several limits gives its token first, so that a refusal leaves the tokens of the others", () => {
  const user = { ...forUser("ann", 3), tokenBucket: { ...tokens(3), tokensPerFill: 3 } };
  const statusOf = limited({ descriptors: [user, { entries: [{ key: "path", value: "/" }], tokenBucket: tokens(1) }] });
  assert.deepEqual([statusOf("ann"), statusOf("ann"), statusOf("ann")], [200, 429, 429]);
  assert.deepEqual([statusOf("ann", "/x"), statusOf("ann", "/x"), statusOf("ann", "/x")], [200, 200, 429]);
});

test("an entry without a value has separate tokens for each value, and the latest values are kept", () => {
  const descriptors = [forUser("", 1), forUser("ann", 2)];
  const statusOf = limited({ descriptors, maxDynamicDescriptors: 2 });
  assert.deepEqual([statusOf("ann"), statusOf("ann"), statusOf("ann")], [200, 200, 429]);
  assert.deepEqual(
    [statusOf("b"), statusOf("b"), statusOf("c"), statusOf("b"), statusOf("d")],
    [200, 429, 200, 429, 200],
  );
  assert.deepEqual([statusOf("b"), statusOf("c")], [429, 200]);
});

test("an incomplete or repeated limit by descriptors is refused, and the error names its field", () => {
  for (const [descriptors, message] of [
    [[{ ...forUser("ann", 1), entries: [] }], /descriptors\[0\]: entries must have at least one entry/],
    [[{ entries: [{ key: "a", value: "b" }] }], /descriptors\[0\]: tokenBucket must be set/],
    [[forUser("ann", 0)], /descriptors\[0\]: tokenBucket\.maxTokens must be at least 1/],
    [[forUser("ann", 1), forUser("ann", 2)], /descriptors\[1\]: an earlier descriptor has the same entries/],
  ] as const)
    assert.throws(() => limited({ descriptors: [...descriptors] as JsonObject[] }), message);
});

function filterWith(config: JsonObject) {
  const clock = new HandClock();
  const services = { ...standaloneServices(), clock };
  const all = { defaultValue: { numerator: 100 } };
  const message = fromJson(LocalRateLimitSchema, {
    statPrefix: "limiter",
    filterEnabled: all,
    filterEnforced: all,
    ...config,
  });
  const settings = compileLocalRateLimit(message, "test", new ConfigNotes(() => undefined, services));
  return {
    filter: new LocalRateLimitFilter("limit", settings, services),
    clock,
    counted: (name: string): number => services.statistics.counter(`limiter.http_local_rate_limit.${name}`).value,
  };
}

test("a client gets the same limit fields as from Envoy: those of its descriptor's limit, or of the limit that refused it", () => {
  // The numbers are those of Envoy 1.40 with this configuration.
  const { filter, clock } = filterWith({
    enableXRatelimitHeaders: "DRAFT_VERSION_03",
    tokenBucket: { maxTokens: 3, tokensPerFill: 2, fillInterval: "10s" },
    rateLimits: [{ actions: [{ requestHeaders: { headerName: "user", descriptorKey: "user" } }] }],
    descriptors: [
      {
        entries: [{ key: "user", value: "ann" }],
        tokenBucket: { maxTokens: 2, tokensPerFill: 1, fillInterval: "20s" },
      },
    ],
  });
  const limitFields = (
    afterMs: number,
    headers: Readonly<Record<string, string>> = {},
  ): readonly (string | number)[] => {
    clock.pass(afterMs);
    const request = testRequest("/", { headers });
    const status = filter.onRequest(request)?.status ?? 200;
    assert.deepEqual(
      request.answerFields.map(([name]) => name),
      ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"],
    );
    return [status, ...request.answerFields.map(([, value]) => Number(value))];
  };
  assert.deepEqual(
    [
      limitFields(0),
      limitFields(0),
      limitFields(0),
      limitFields(0),
      limitFields(2000),
      limitFields(4000),
      limitFields(0, { user: "ann" }),
    ],
    [
      [200, 3, 2, 0],
      [200, 3, 1, 0],
      [200, 3, 0, 5],
      [429, 3, 0, 5],
      [429, 3, 0, 3],
      [200, 3, 0, 4],
      [429, 3, 0, 4],
    ],
  );
  assert.deepEqual(
    [limitFields(12_000, { user: "ann" }), limitFields(0, { user: "ann" })],
    [
      [200, 2, 0, 8],
      [429, 2, 0, 8],
    ],
  );
});

test("if configured, each connection has tokens of its own", () => {
  const { filter } = filterWith({
    localRateLimitPerDownstreamConnection: true,
    tokenBucket: { maxTokens: 1, fillInterval: "3600s" },
  });
  const [first, second] = [testRequest(), testRequest()];
  assert.notEqual(first.connection, second.connection);
  const statusOf = (request: typeof first): number => filter.onRequest(request)?.status ?? 200;
  assert.deepEqual([statusOf(first), statusOf(first), statusOf(second), statusOf(second)], [200, 429, 200, 429]);
});

test("if configured, a gRPC client gets RESOURCE_EXHAUSTED", () => {
  const tokenBucket = { maxTokens: 1, fillInterval: "3600s" };
  for (const [rateLimitedAsResourceExhausted, grpcStatus] of [
    [true, 8],
    [false, undefined],
  ] as const) {
    const { filter } = filterWith({ rateLimitedAsResourceExhausted, tokenBucket });
    filter.onRequest(testRequest());
    assert.equal(filter.onRequest(testRequest())?.grpcStatus, grpcStatus);
  }
});

test("a stage above 10 is refused, because no rule can have it", () => {
  assert.throws(() => filterWith({ stage: 11 }), /test: stage must be from 0 to 10, got 11/);
});

test("a shadow limit refuses nothing and counts by itself, and the other limits go on", () => {
  // The statuses, fields and counts are those of Envoy 1.40 with this configuration.
  const bucket = (maxTokens: number): JsonObject => ({ maxTokens, tokensPerFill: maxTokens, fillInterval: "3600s" });
  const { filter, counted } = filterWith({
    enableXRatelimitHeaders: "DRAFT_VERSION_03",
    tokenBucket: bucket(1000),
    rateLimits: ["a", "b"].map((descriptorKey) => ({
      actions: [{ genericKey: { descriptorKey, descriptorValue: "1" } }],
    })),
    descriptors: [
      { entries: [{ key: "a", value: "1" }], tokenBucket: bucket(2), shadowMode: true },
      { entries: [{ key: "b", value: "1" }], tokenBucket: bucket(3) },
    ],
  });
  const answerOf = (): readonly number[] => {
    const request = testRequest();
    const status = filter.onRequest(request)?.status ?? 200;
    return [status, ...request.answerFields.map(([, value]) => Number(value))];
  };
  assert.deepEqual(
    [answerOf(), answerOf(), answerOf(), answerOf()],
    [
      [200, 2, 1, 0],
      [200, 2, 0, 1800],
      [200, 2, 0, 1800],
      [429, 3, 0, 1200],
    ],
  );
  assert.deepEqual(["enabled", "ok", "rate_limited", "shadow_mode", "enforced"].map(counted), [4, 2, 2, 1, 1]);
});

test("a request takes as many tokens as it counts hits, none are always too many, and negative ones give back", () => {
  const limit = (hitsAddend: JsonObject) =>
    filterWith({
      tokenBucket: { maxTokens: 1000, fillInterval: "3600s" },
      rateLimits: [{ actions: [{ genericKey: { descriptorKey: "a", descriptorValue: "1" } }], hitsAddend }],
      descriptors: [{ entries: [{ key: "a", value: "1" }], tokenBucket: { maxTokens: 10, fillInterval: "3600s" } }],
    }).filter;
  const statuses = (filter: LocalRateLimitFilter, ...hits: string[]): readonly number[] =>
    hits.map((value) => filter.onRequest(testRequest("/", { headers: { "x-hits": value } }))?.status ?? 200);
  assert.deepEqual(statuses(limit({ number: "4" }), "", "", ""), [200, 200, 429]);
  const hitsOfHeader = limit({ format: "%REQ(x-hits)%" });
  assert.deepEqual(statuses(hitsOfHeader, "4", "bad", "3.7", "0", "5", "3"), [200, 200, 200, 429, 429, 200]);
  const { filter } = filterWith({
    rateLimits: [
      {
        actions: [{ genericKey: { descriptorKey: "a", descriptorValue: "1" } }],
        hitsAddend: { format: "%REQ(x-hits)%", isNegativeHits: true },
      },
      { actions: [{ genericKey: { descriptorKey: "a", descriptorValue: "1" } }], hitsAddend: { number: "6" } },
    ],
    descriptors: [{ entries: [{ key: "a", value: "1" }], tokenBucket: { maxTokens: 10, fillInterval: "3600s" } }],
  });
  assert.deepEqual(statuses(filter, "0", "2", "5", "20", "0"), [200, 200, 429, 200, 429]);
});
