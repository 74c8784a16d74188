import assert from "node:assert/strict";
import { test } from "node:test";
import { fromJson, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { AnySchema, type Any } from "@bufbuild/protobuf/wkt";
import { envoyRegistry, HttpConnectionManagerSchema, HttpHeaderMutationSchema } from "../../wire/envoy/index.ts";
import { ConfigNotes } from "../config/config-check.ts";
import { compileHeaderMutation } from "../config/filters/header-mutation-filter-config.ts";
import { compileFilterOverrides, noOverrides } from "../config/filters/filter-overrides-config.ts";
import { compileHttpFilters } from "../config/filters/http-filter-config.ts";
import { connectionFrom, mutualTls, neverAborted, testRequest } from "../testing/filter-request.ts";
import { maxAddedLength } from "../routing/header-mutation.ts";
import { forwardTo, Harness, route, tableOf } from "../testing/harness.ts";
import type { HttpFilter } from "./http-filter.ts";

const name = "envoy.filters.http.header_mutation";
const notes = new ConfigNotes((note) => assert.fail(note));

const compile = (config: JsonObject) =>
  compileHeaderMutation(name, fromJson(HttpHeaderMutationSchema, config), "test", notes);

const append = (key: string, value: string, more: JsonObject = {}): JsonObject => ({
  append: { header: { key, value }, ...more },
});
const overwrite = (key: string, value: string): JsonObject =>
  append(key, value, { appendAction: "OVERWRITE_IF_EXISTS_OR_ADD" });

const any = (type: string, value: JsonObject): Any =>
  fromJson(AnySchema, { "@type": `type.googleapis.com/envoy.${type}`, ...value }, { registry: envoyRegistry() });
const perRoute = (mutations: JsonValue): Any =>
  any("extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute", { mutations });

test("request headers are appended, replaced and removed in the order of the list", () => {
  const filter = compile({
    mutations: {
      requestMutations: [
        append("X-More", "b"),
        append("x-absent", "1", { appendAction: "ADD_IF_ABSENT" }),
        append("x-present", "2", { appendAction: "ADD_IF_ABSENT" }),
        append("x-none", "3", { appendAction: "OVERWRITE_IF_EXISTS" }),
        append("x-present", "4", { appendAction: "OVERWRITE_IF_EXISTS" }),
        append("x-empty", ""),
        append("x-kept", "", { keepEmptyValue: true }),
        append("x-gone", "%REQ(x-more)%"),
        append("x-copy", "%REQ(x-gone)%"),
        { remove: "X-Gone" },
        { removeOnMatch: { keyMatcher: { prefix: "x-debug-" } } },
        append("x-debug-own", "5"),
      ],
    },
  });
  const request = testRequest("/", {
    headers: { "x-more": "a", "x-present": "old", "x-debug-a": "1", "x-debug-b": "1", host: "h" },
  });
  filter.onRequest(request);
  assert.deepEqual(Object.fromEntries(request.fields), {
    host: "h",
    "x-more": "a,b",
    "x-absent": "1",
    "x-present": "4",
    "x-kept": "",
    "x-copy": "a,b",
    "x-debug-own": "5",
  });
});

test("removal by a name pattern keeps the headers that frame a request or name its destination", () => {
  const filter = compile({
    mutations: { requestMutations: [{ removeOnMatch: { keyMatcher: { safeRegex: { regex: ".*" } } } }] },
  });
  const request = testRequest("/", { headers: { host: "h", "content-length": "3", "x-a": "1" } });
  filter.onRequest(request);
  assert.deepEqual(Object.fromEntries(request.fields), { host: "h", "content-length": "3" });
});

test("additions together are bounded, so that a long header of a client that many of them repeat fills no memory", () => {
  const repeats = Array.from({ length: 2_000 }, (_, index) => append(`x-${index}`, "%REQ(x-long)%"));
  const filter = compile({ mutations: { requestMutations: [...repeats, { remove: "x-old" }] } });
  const request = testRequest("/", { headers: { "x-long": "l".repeat(30_000), "x-old": "1" } });
  filter.onRequest(request);
  const lengths = Array.from(request.fields, ([, value]) => value.length);
  const added = lengths.reduce((sum, length) => sum + length, 0) - 30_000;
  assert.ok(added > maxAddedLength - 31_000 && added <= maxAddedLength, String(added));
  assert.equal(request.fields.has("x-old"), false);
});

test("all levels apply after the filter's own: the most general one last, or the most specific one last", () => {
  const level = (value: string, general = noOverrides) => {
    const mutations = { requestMutations: [append("x-all", value), overwrite("x-last", value)] };
    return compileFilterOverrides({ [name]: perRoute(mutations) }, general, "test", notes);
  };
  const switched = (disabled: boolean, general = noOverrides) =>
    compileFilterOverrides({ [name]: any("config.route.v3.FilterConfig", { disabled }) }, general, "test", notes);
  const mutated = (filterConfigs: ReadonlyMap<string, object>, mostSpecificHeaderMutationsWins: boolean) => {
    const mutations = { requestMutations: [append("x-all", "filter"), overwrite("x-last", "filter")] };
    const { httpFilters } = fromJson(
      HttpConnectionManagerSchema,
      {
        httpFilters: [
          {
            name,
            typedConfig: {
              "@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
              mutations,
              mostSpecificHeaderMutationsWins,
            },
          },
        ],
      },
      { registry: envoyRegistry() },
    );
    const request = testRequest("/", { filterConfigs });
    for (const filter of compileHttpFilters(httpFilters, "", "test", notes).filters)
      assert.equal(filter.onRequest(request, neverAborted), undefined);
    return [request.fields.get("x-all"), request.fields.get("x-last")];
  };
  const all = level("route", level("host", level("table"))).configs;
  assert.deepEqual(mutated(all, false), ["filter,route,host,table", "table"]);
  assert.deepEqual(mutated(all, true), ["filter,table,host,route", "route"]);
  const off = switched(true, level("table"));
  assert.deepEqual(mutated(off.configs, true), [undefined, undefined]);
  assert.deepEqual(mutated(level("route", off).configs, true), ["filter,table,route", "route"]);
  assert.deepEqual(mutated(switched(false, off).configs, true), ["filter,table", "table"]);
});

test("response headers are changed, of upstreams and of the proxy itself, by the route that the request had here", async () => {
  const filter = compile({
    mutations: {
      responseMutations: [
        append("x-seen", "up=%RESP(x-up)% client=%REQ(x-client)% code=%RESPONSE_CODE%"),
        { removeOnMatch: { keyMatcher: { exact: "x-up" } } },
      ],
    },
  });
  const ofRoute = perRoute({ responseMutations: [append("x-route", "first, then %ROUTE_NAME%")] });
  const own = compileFilterOverrides({ [name]: ofRoute }, noOverrides, "test", notes).configs;
  const moves: HttpFilter = {
    name: "moves",
    onRequest: (request) => {
      if (request.header("x-moves") === undefined) return undefined;
      request.setHeader(":path", "/other");
      request.clearRoute();
      return undefined;
    },
  };
  await using harness = await Harness.start({ filters: [filter, moves], filtersIdle: false });
  harness.cluster("a", [(await harness.backend((_, answer) => answer.setHeader("x-up", "1").end("ok"))).port]);
  harness.table = tableOf(
    route(forwardTo("a"), { name: "first", filterConfigs: own, matches: ({ path }) => path === "/" }),
    route({ kind: "direct-response", status: 403, body: Buffer.from("no") }, { name: "other" }),
  );
  const passed = await harness.get("/", { headers: { "x-client": "c" } });
  assert.deepEqual(
    [passed.status, passed.body, passed.headers["x-seen"], passed.headers["x-up"], passed.headers["x-route"]],
    [200, "ok", "up=1 client=c code=200", undefined, "first, then first"],
  );
  const refused = await harness.get("/no");
  assert.deepEqual(
    [refused.status, refused.headers["x-seen"], refused.headers["x-route"]],
    [403, "up= client= code=403", undefined],
  );
  const moved = await harness.get("/", { headers: { "x-moves": "1" } });
  assert.deepEqual([moved.status, moved.headers["x-route"]], [403, "first, then other"]);
});

test("trailers are changed where a message has some", async () => {
  const filter = compile({
    mutations: {
      requestTrailersMutations: [append("x-sum", "%REQ(x-client)%"), { remove: "x-drop" }],
      responseTrailersMutations: [overwrite("x-sum", "%RESP(x-up)%")],
    },
  });
  const request = testRequest("/", { headers: { "x-client": "c" } });
  filter.onRequest(request);
  const stream = filter.stream(request);
  await stream?.responseHead?.(
    {
      request,
      status: 200,
      fields: [["x-up", "u"]],
      trailers: undefined,
      bodyStart: (limit) => request.bodyStart(limit),
      replaceBody: () => undefined,
    },
    false,
  );
  const trailers = async (part: "requestTrailers" | "responseTrailers", given: readonly string[]) => {
    const outcome = await stream?.[part]?.(given);
    return outcome?.kind === "pass" ? outcome.part.trailers : undefined;
  };
  assert.deepEqual(await trailers("requestTrailers", ["x-drop", "1", "x-a", "2"]), ["x-a", "2", "x-sum", "c"]);
  assert.deepEqual(await trailers("responseTrailers", ["x-sum", "1"]), ["x-sum", "u"]);
});

test("x-forwarded-client-cert with the identities of a tunnel replaces a forged one, whatever the client sent", async () => {
  const filter = compile({
    mutations: {
      requestMutations: [
        overwrite(
          "x-forwarded-client-cert",
          "By=%FILTER_STATE(io.istio.local_principal:PLAIN)%;URI=%FILTER_STATE(io.istio.peer_principal:PLAIN)%",
        ),
      ],
    },
  });
  const clientCertField = (tls: Parameters<typeof connectionFrom>[1]) => {
    const request = testRequest("/", {
      headers: { "x-forwarded-client-cert": "By=forged;URI=forged" },
      connection: connectionFrom("10.0.0.1", tls),
    });
    filter.onRequest(request);
    return request.fields.get("x-forwarded-client-cert");
  };
  const client = "spiffe://cluster.local/ns/a/sa/client";
  assert.equal(clientCertField({ tls: mutualTls(client) }), `By=spiffe://cluster.local/ns/a/sa/server;URI=${client}`);
  assert.equal(
    clientCertField({ tls: mutualTls(client, { verified: false }) }),
    "By=spiffe://cluster.local/ns/a/sa/server;URI=",
  );
  assert.equal(clientCertField({}), "By=;URI=");
  for (const [clientCertificate, filters, expected] of [
    ["always-forward", [filter], "By=;URI="],
    ["sanitize", [], undefined],
  ] as const) {
    await using harness = await Harness.start({ clientCertificate, filters, filtersIdle: false });
    const backend = await harness.backend((request, answer) => answer.end(JSON.stringify(request.headers)));
    harness.cluster("a", [backend.port]);
    harness.table = tableOf(route(forwardTo("a")));
    const answer = await harness.get("/", { headers: { "x-forwarded-client-cert": "By=forged;URI=forged" } });
    const headers = JSON.parse(answer.body) as Record<string, string>;
    assert.equal(headers["x-forwarded-client-cert"], expected, clientCertificate);
  }
});

test("the error for an unsupported setting names its field", () => {
  const refused = (mutations: JsonObject, problem: RegExp): void =>
    assert.throws(() => compile({ mutations }), problem, String(problem));
  refused({ queryParameterMutations: [{ remove: "a" }] }, /the field queryParameterMutations is not supported/);
  refused({ formatters: [{ name: "f" }] }, /the field formatters is not supported/);
  refused({ requestMutations: [append(":path", "/")] }, /requestMutations\[0\].*header :path must not be changed/);
  refused({ requestMutations: [{ remove: "Host" }] }, /header host must not be removed/);
  refused({ requestMutations: [{}] }, /append, remove or removeOnMatch must be set/);
  refused({ requestMutations: [append("a", "%UPSTREAM_CLUSTER%")] }, /%UPSTREAM_…%.* is not supported/);
  refused({ requestMutations: [append("a", "%FOO(b)%")] }, /%FOO\(b\)% is not supported/);
  refused({ responseTrailersMutations: [append("set-cookie", "a")] }, /set-cookie must not be a trailer/);
});
