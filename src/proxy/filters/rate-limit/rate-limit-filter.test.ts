import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary, fromJson, toBinary, type JsonObject, type MessageInitShape } from "@bufbuild/protobuf";
import {
  envoyRegistry,
  HttpRateLimitPerRouteSchema,
  HttpRateLimitSchema,
  RateLimitRequestSchema,
  RateLimitResponse_Code,
  RateLimitResponse_RateLimit_Unit,
  RateLimitResponseSchema,
} from "../../../wire/envoy/index.ts";
import { ConfigNotes } from "../../config/config-check.ts";
import { compileRateLimit, compileRateLimitPerRoute } from "../../config/filters/rate-limit-service-config.ts";
import type { CallCluster, ClusterRequest } from "../../terms/call-cluster.ts";
import { neverAborted, testRequest, type TestRequest } from "../../testing/filter-request.ts";
import { standaloneServices } from "../filter-services.ts";
import type { LocalReply } from "../http-filter.ts";
import { RateLimitFilter } from "./rate-limit-filter.ts";

const notes = new ConfigNotes(() => undefined);
const service = (clusterName: string): JsonObject => ({
  grpcService: { envoyGrpc: { clusterName } },
  transportApiVersion: "V3",
});
const byUser = [
  { actions: [{ requestHeaders: { headerName: "user", descriptorKey: "user" } }] },
  { actions: [{ genericKey: { descriptorValue: "all" } }], limit: { rateLimit: { requestsPerUnit: 5, unit: "HOUR" } } },
];

class Limited {
  readonly requests: ClusterRequest[] = [];
  readonly services = {
    ...standaloneServices(),
    random: () => 0.5,
    callCluster: ((request) => {
      this.requests.push(request);
      return this.#answer();
    }) as CallCluster,
  };
  readonly filter: RateLimitFilter;
  readonly #answer: () => ReturnType<CallCluster>;

  constructor(config: JsonObject, answer: MessageInitShape<typeof RateLimitResponseSchema> | Error) {
    const message = fromJson(
      HttpRateLimitSchema,
      { domain: "shop", rateLimitService: service("limiter"), rateLimits: byUser, ...config },
      { registry: envoyRegistry() },
    );
    const settings = compileRateLimit(message, "test", new ConfigNotes(() => undefined, this.services));
    this.filter = new RateLimitFilter("limit", settings, this.services);
    this.#answer = () => {
      if (answer instanceof Error) return Promise.reject(answer);
      const bytes = toBinary(RateLimitResponseSchema, create(RateLimitResponseSchema, answer));
      const body = Buffer.concat([Buffer.alloc(5), bytes]);
      body.writeUInt32BE(bytes.length, 1);
      return Promise.resolve({ status: 200, headers: [["grpc-status", "0"]], body });
    };
  }

  async send(request: TestRequest = testRequest("/", { headers: { user: "ann" } })): Promise<LocalReply | undefined> {
    return await this.filter.onRequest(request, neverAborted);
  }

  counted(name: string): number {
    return this.services.statistics.counter(`cluster.c.ratelimit.${name}`).value;
  }

  question(): unknown {
    const { body } = this.requests.at(-1) ?? { body: Buffer.alloc(5) };
    const { domain, descriptors } = fromBinary(RateLimitRequestSchema, body.subarray(5));
    return {
      domain,
      descriptors: descriptors.map(({ entries, limit }) => [
        entries.map(({ key, value }) => `${key}=${value}`).join(),
        limit?.requestsPerUnit,
        limit?.unit,
      ]),
    };
  }
}

const ok = { overallCode: 1 };
const overLimit = { overallCode: 2 };

test("the service gets the descriptors of a request, and its fields reach upstream and client", async () => {
  const limited = new Limited(
    { timeout: "0.3s" },
    {
      ...ok,
      requestHeadersToAdd: [{ key: "X-Quota", value: "7" }],
      responseHeadersToAdd: [
        { key: "x-left", value: "6" },
        { key: "content-length", value: "1" },
        { key: "x-bad", value: "a\r\nb" },
      ],
      dynamicMetadata: { tier: "gold" },
    },
  );
  const request = testRequest("/", { headers: { user: "ann", "x-quota": "1" } });
  assert.equal(await limited.send(request), undefined);
  assert.deepEqual(limited.question(), {
    domain: "shop",
    descriptors: [
      ["user=ann", undefined, undefined],
      ["generic_key=all", 5, 3],
    ],
  });
  const { cluster, path, timeoutMs, protocol } = limited.requests[0] ?? {};
  assert.deepEqual(
    { cluster, path, timeoutMs, protocol },
    {
      cluster: "limiter",
      path: "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit",
      timeoutMs: 300,
      protocol: "http2",
    },
  );
  assert.equal(request.fields.get("x-quota"), "1,7");
  assert.deepEqual(request.answerFields, [["x-left", "6"]]);
  assert.deepEqual(request.metadata.get("envoy.filters.http.ratelimit"), { tier: "gold" });
  assert.equal(limited.counted("ok"), 1);
});

test("the service learns how many hits a request counts as", async () => {
  const limited = new Limited(
    {
      rateLimits: [
        { ...byUser[0], hitsAddend: { format: "%REQ(x-cost)%" } },
        { ...byUser[1], hitsAddend: { number: "2", isNegativeHits: true } },
      ],
    },
    ok,
  );
  await limited.send(testRequest("/", { headers: { user: "ann", "x-cost": "5" } }));
  const { body } = limited.requests.at(-1) ?? assert.fail();
  assert.deepEqual(
    fromBinary(RateLimitRequestSchema, body.subarray(5)).descriptors.map(({ hitsAddend, isNegativeHits }) => [
      hitsAddend,
      isNegativeHits,
    ]),
    [
      [5n, false],
      [2n, true],
    ],
  );
});

test("a request above a limit is refused with the fields of the service and of the filter", async () => {
  const answer = { ...overLimit, rawBody: Buffer.from("later"), responseHeadersToAdd: [{ key: "x-left", value: "0" }] };
  const limited = new Limited({ responseHeadersToAdd: [{ header: { key: "x-limited", value: "yes" } }] }, answer);
  const reply = await limited.send();
  assert.deepEqual(
    { ...reply, body: String(reply?.body) },
    {
      status: 429,
      body: "later",
      headers: [
        ["x-left", "0"],
        ["x-envoy-ratelimited", "true"],
        ["x-limited", "yes"],
      ],
      flag: 16,
      details: "request_rate_limited",
    },
  );
  assert.equal(limited.counted("over_limit"), 1);
  const other = new Limited(
    {
      disableXEnvoyRatelimitedHeader: true,
      rateLimitedStatus: { code: "ServiceUnavailable" },
      rateLimitedAsResourceExhausted: true,
      statPrefix: "two",
    },
    overLimit,
  );
  const { status, headers, grpcStatus } = (await other.send()) ?? {};
  assert.deepEqual({ status, headers, grpcStatus }, { status: 503, headers: [], grpcStatus: 8 });
  assert.equal(other.counted("two.over_limit"), 1);
});

test("requests pass if no rule describes them, if the filter leaves them out, or if their limit is not enforced", async () => {
  const none = new Limited({ rateLimits: byUser.slice(0, 1) }, overLimit);
  assert.equal(await none.send(testRequest()), undefined);
  const half = { defaultValue: { numerator: 40 } };
  const out = new Limited({ filterEnabled: half }, overLimit);
  assert.equal(await out.send(), undefined);
  assert.deepEqual([none.requests.length, out.requests.length], [0, 0]);
  const unenforced = new Limited({ filterEnforced: half }, overLimit);
  assert.equal(await unenforced.send(), undefined);
  assert.equal(unenforced.counted("over_limit"), 1);
});

test("requests pass if the service gives no verdict, unless the filter refuses on failures", async () => {
  for (const answer of [new Error("gone"), { overallCode: 0 }]) {
    const open = new Limited({}, answer);
    assert.equal(await open.send(), undefined);
    assert.deepEqual([open.counted("error"), open.counted("failure_mode_allowed")], [1, 1]);
    const { status, flag, details } = (await new Limited({ failureModeDeny: true }, answer).send()) ?? {};
    assert.deepEqual({ status, flag, details }, { status: 500, flag: 21, details: "rate_limiter_error" });
    const denied = new Limited(
      { failureModeDenyPercent: { defaultValue: { numerator: 60 } }, statusOnError: { code: "ServiceUnavailable" } },
      answer,
    );
    assert.equal((await denied.send())?.status, 503);
  }
});

test("whether refused or not, a client gets the service's limit that ends first, and the windows of all limits", async () => {
  const statuses = [
    {
      currentLimit: { requestsPerUnit: 10, unit: RateLimitResponse_RateLimit_Unit.SECOND, name: "per-ip" },
      limitRemaining: 4,
      durationUntilReset: { seconds: 1n },
    },
    { limitRemaining: 0 },
    {
      currentLimit: { requestsPerUnit: 1000, unit: RateLimitResponse_RateLimit_Unit.HOUR },
      limitRemaining: 3,
      durationUntilReset: { seconds: 1800n, nanos: 5 },
    },
  ];
  const limitFields = [
    ["x-ratelimit-limit", '1000, 10;w=1;name="per-ip", 1000;w=3600'],
    ["x-ratelimit-remaining", "3"],
    ["x-ratelimit-reset", "1800"],
  ];
  for (const overallCode of [RateLimitResponse_Code.OK, RateLimitResponse_Code.OVER_LIMIT])
    for (const [config, expected] of [
      [{ enableXRatelimitHeaders: "DRAFT_VERSION_03" }, limitFields],
      [{}, []],
    ] as const) {
      const request = testRequest("/", { headers: { user: "ann" } });
      await new Limited(config, { overallCode, statuses }).send(request);
      assert.deepEqual(request.answerFields, expected);
    }
});

test("a route has a domain and rules of its own", async () => {
  const limited = new Limited({}, ok);
  const own = compileRateLimitPerRoute(
    fromJson(HttpRateLimitPerRouteSchema, {
      domain: "route",
      rateLimits: [{ actions: [{ genericKey: { descriptorValue: "route" } }] }],
    }),
    "test",
    notes,
  );
  await limited.send(testRequest("/", { filterConfigs: new Map([["limit", own]]) }));
  assert.deepEqual(limited.question(), {
    domain: "route",
    descriptors: [["generic_key=route", undefined, undefined]],
  });
});

test("the error for an unsupported setting names its field", () => {
  for (const [config, message] of [
    [{ domain: "" }, /test: domain must not be empty/],
    [{ stage: 11 }, /stage must be from 0 to 10, got 11/],
    [{ requestType: "internal" }, /requestType internal is not supported/],
    [{ rateLimitService: {} }, /rateLimitService\.grpcService must be set/],
    [{ rateLimitService: { ...service("c"), transportApiVersion: "V2" } }, /transportApiVersion V2 is not supported/],
    [
      { rateLimits: [{ ...byUser[0], limit: { dynamicMetadata: {} } }] },
      /rateLimits\[0\]: limit\.dynamicMetadata is not supported/,
    ],
  ] as const)
    assert.throws(() => new Limited(config as unknown as JsonObject, ok), message);
});
