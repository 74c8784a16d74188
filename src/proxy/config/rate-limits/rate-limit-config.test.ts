import assert from "node:assert/strict";
import { test } from "node:test";
import { fromJson, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { suspicion } from "../../../base/testing/index.ts";
import { envoyRegistry, RateLimitSchema } from "../../../wire/envoy/index.ts";
import { standaloneServices } from "../../filters/filter-services.ts";
import { describeRequest, descriptorsOf, type HostRules } from "../../routing/describe-request.ts";
import { connectionFrom, mutualTls, testRequest, type TestRequest } from "../../testing/filter-request.ts";
import { forwardTo, route } from "../../testing/harness.ts";
import { unknownWorkload } from "../../terms/workload-labels.ts";
import { ConfigNotes } from "../config-check.ts";
import { compileFilterRules, compileRouteRules } from "./rate-limit-config.ts";

const notes = new ConfigNotes(() => undefined, { ...standaloneServices(), serviceName: "web.shop" });
const registry = envoyRegistry();

const rulesOf = (...rules: JsonObject[]) =>
  compileRouteRules(
    rules.map((rule) => fromJson(RateLimitSchema, rule, { registry })),
    "test",
    notes,
  );

function described(request: TestRequest, ...actions: JsonObject[]): string {
  const [descriptor] = descriptorsOf(rulesOf({ actions }), request);
  return descriptor === undefined ? "(none)" : descriptor.entries.map(({ key, value }) => `${key}=${value}`).join(" ");
}

const expression = (value: JsonObject, type = "udpa.type.v1.TypedStruct"): JsonObject => {
  const descriptor = "type.googleapis.com/envoy.extensions.rate_limit_descriptors.expr.v3.Descriptor";
  return {
    extension: {
      name: "custom",
      typedConfig:
        type === ""
          ? { "@type": descriptor, ...value }
          : { "@type": `type.googleapis.com/${type}`, typeUrl: descriptor, value },
    },
  };
};
const text = (expressionText: string, more: JsonObject = {}) =>
  expression({ descriptor_key: "k", text: expressionText, ...more });

test("an expression of a descriptor reads Envoy's attributes of the request and its connection", () => {
  const request = testRequest("/a?b=1", {
    method: "POST",
    headers: { "x-user": "ann", "content-length": "12", referer: "r" },
    clientAddress: "192.0.2.7",
    connection: connectionFrom("10.0.0.1", {
      tls: mutualTls("spiffe://td/ns/n/sa/a", { serverName: "sni.test", peerSubject: () => "CN=a" }),
      peer: { ...unknownWorkload, workload: "web-v1", labels: { role: "caller" } },
    }),
  });
  request.metadata.set("filter", { tier: "gold" });
  for (const [expressionText, wanted] of [
    ["connection.uri_san_peer_certificate", "spiffe://td/ns/n/sa/a"],
    ["connection.subject_peer_certificate", "CN=a"],
    ["connection.requested_server_name", "sni.test"],
    ["connection.mtls", "true"],
    ["filter_state['io.istio.peer_principal']", "spiffe://td/ns/n/sa/a"],
    ["filter_state.downstream_peer.workload + filter_state.downstream_peer.labels['role']", "web-v1caller"],
    ["request.headers['x-user'] + request.headers[':path']", "ann/a?b=1"],
    ["request.method + request.url_path + request.query + request.host", "POST/ab=1a.test"],
    ["request.size + 1", "13"],
    ["source.address", "192.0.2.7:0"],
    ["destination.port", "8080"],
    ["metadata.filter_metadata['filter']['tier']", "gold"],
    ["xds.cluster_name", "c"],
    ["'x-user' in request.headers && has(request.referer)", "true"],
    ["request.size > 1 ? 'large' : 'small'", "large"],
    ["7u", "7"],
  ] as const)
    assert.equal(described(request, text(expressionText)), `k=${wanted}`, expressionText);
});

test("an expression may be direct, a TypedStruct or a parsed tree", () => {
  const request = testRequest("/", { method: "PUT" });
  const value = { descriptor_key: "k", text: "request.method" };
  const parsed = { selectExpr: { operand: { identExpr: { name: "request" } }, field: "method" } };
  for (const action of [
    expression(value),
    expression(value, ""),
    expression({ descriptor_key: "k", parsed }),
    expression({ descriptorKey: "k", parsed }, ""),
  ])
    assert.equal(described(request, action), "k=PUT");
});

test("an expression without a value suppresses the descriptor, or with skip_if_error only its own entry", () => {
  const generic = { genericKey: { descriptorValue: "all" } };
  for (const invalid of [
    "connection.uri_san_peer_certificate",
    "request.headers['x']",
    "response.code",
    "1 / 0",
    "request",
  ]) {
    assert.equal(described(testRequest(), generic, text(invalid)), "(none)", invalid);
    assert.equal(described(testRequest(), generic, text(invalid, { skip_if_error: true })), "generic_key=all", invalid);
    assert.equal(described(testRequest(), text(invalid, { skip_if_error: true })), "(none)", invalid);
  }
});

test("each action makes an entry, and a missing value suppresses the descriptor unless the entry may be skipped", () => {
  const request = testRequest("/a?q=a%20b&q=2", {
    headers: { "x-user": "ann" },
    clientAddress: "2001:db8:1:2:3::4",
  });
  request.metadata.set("filter", { user: { name: "ann" }, age: 3 });
  const metadataKey = (...keys: string[]): JsonValue => ({ key: "filter", path: keys.map((key) => ({ key })) });
  const tests: readonly (readonly [JsonObject, string])[] = [
    [{ genericKey: { descriptorKey: "g", descriptorValue: "v" } }, "g=v"],
    [{ requestHeaders: { headerName: "X-User", descriptorKey: "u" } }, "u=ann"],
    [{ requestHeaders: { headerName: ":path", descriptorKey: "PATH" } }, "PATH=/a?q=a%20b&q=2"],
    [{ requestHeaders: { headerName: "x-none", descriptorKey: "u" } }, "(none)"],
    [{ requestHeaders: { headerName: "x-none", descriptorKey: "u", skipIfAbsent: true } }, "first="],
    [{ queryParameters: { queryParameterName: "q", descriptorKey: "q" } }, "q=a b"],
    [{ queryParameters: { queryParameterName: "p", descriptorKey: "q" } }, "(none)"],
    [{ remoteAddress: {} }, "remote_address=2001:db8:1:2:3::4"],
    [{ maskedRemoteAddress: { v6PrefixMaskLen: 52 } }, "masked_remote_address=2001:db8:1::/52"],
    [{ destinationCluster: {} }, "destination_cluster=c"],
    [{ sourceCluster: {} }, "source_cluster=web.shop"],
    [{ headerValueMatch: { descriptorValue: "m", headers: [{ name: "x-user" }] } }, "header_match=m"],
    [{ headerValueMatch: { descriptorValue: "m", expectMatch: false, headers: [{ name: "x-user" }] } }, "(none)"],
    [{ queryParameterValueMatch: { descriptorValue: "m", queryParameters: [{ name: "q" }] } }, "query_match=m"],
    [{ metadata: { descriptorKey: "n", metadataKey: metadataKey("user", "name") } }, "n=ann"],
    [{ metadata: { descriptorKey: "n", metadataKey: metadataKey("age") } }, "(none)"],
    [{ metadata: { descriptorKey: "n", metadataKey: metadataKey("x"), defaultValue: "d" } }, "n=d"],
    [{ dynamicMetadata: { descriptorKey: "n", metadataKey: metadataKey("user", "name") } }, "n=ann"],
    [
      {
        remoteAddressMatch: {
          descriptorValue: "in",
          addressMatcher: { ranges: [{ addressPrefix: "2001:db8::", prefixLen: 32 }] },
        },
      },
      "remote_address_match=in",
    ],
  ];
  const first = { genericKey: { descriptorKey: "first" } };
  for (const [action, wanted] of tests)
    assert.equal(
      described(request, first, action),
      wanted === "(none)" || wanted === "first=" ? wanted : `first= ${wanted}`,
      JSON.stringify(action),
    );
  const old = testRequest("/", { clientAddress: "192.0.2.77" });
  assert.equal(described(old, { maskedRemoteAddress: { v4PrefixMaskLen: 26 } }), "masked_remote_address=192.0.2.64/26");
});

test("a virtual host's rules apply if the route has none or includes them, and only at the requested stage", () => {
  const generic = (value: string, more: JsonObject = {}): JsonObject => ({
    actions: [{ genericKey: { descriptorValue: value } }],
    ...more,
  });
  const ofHost = rulesOf(generic("host"), generic("host-2", { stage: 2 }));
  const ofRoute = rulesOf(generic("route"));
  const descriptorsOf = (
    ofRouteOrNone: typeof ofRoute,
    hostRules: HostRules,
    stage = 0,
    includeHost = false,
  ): string => {
    const rateLimits = { ofRoute: ofRouteOrNone, ofHost, includeHost };
    const request = Object.assign(testRequest(), { route: route(forwardTo("c", { rateLimits })) });
    return describeRequest(request, stage, hostRules)
      .map(({ entries: [entry] }) => entry?.value)
      .join();
  };
  assert.equal(descriptorsOf(ofRoute, "override"), "route");
  assert.equal(descriptorsOf([], "override"), "host");
  assert.equal(descriptorsOf([], "override", 2), "host-2");
  assert.equal(descriptorsOf(ofRoute, "include"), "route,host");
  assert.equal(descriptorsOf(ofRoute, "override", 0, true), "route,host");
  assert.equal(descriptorsOf([], "ignore"), "");
});

test("the error for an unsupported rule names its field", () => {
  const filter = (rule: JsonObject) =>
    compileFilterRules([fromJson(RateLimitSchema, rule)], ["actions", "hitsAddend"], "test", notes);
  const any = { genericKey: { descriptorValue: "v" } };
  const tests: readonly (readonly [() => unknown, RegExp])[] = [
    [() => rulesOf({ actions: [] }), /test: rateLimits\[0\]: actions must have at least one entry/],
    [() => rulesOf({ stage: 11, actions: [any] }), /stage must be from 0 to 10, got 11/],
    [() => rulesOf({ actions: [any], applyOnStreamDone: true }), /the field applyOnStreamDone/],
    [() => rulesOf({ actions: [text("1 +")] }), /actions\[0\]\.extension: the expression "1 \+" \(/],
    [() => rulesOf({ actions: [text("[1].exists(x, true)")] }), /loops .* are not supported/],
    [() => rulesOf({ actions: [expression({ text: "1" })] }), /descriptorKey must not be empty/],
    [() => rulesOf({ actions: [expression({ descriptor_key: "k" })] }), /text or parsed must be set/],
    [() => rulesOf({ actions: [text("1", { other: 1 })] }), /actions\[0\]\.extension: .*"other" is unknown/],
    [() => filter({ stage: 1, actions: [any] }), /the field stage is not supported/],
    [() => filter({ actions: [any], hitsAddend: {} }), /hitsAddend: either number or format must be set/],
    [
      () => filter({ actions: [any], hitsAddend: { number: "1", format: "%REQ(x)%" } }),
      /hitsAddend: either number or format must be set/,
    ],
    [() => filter({ actions: [any], hitsAddend: { number: "1000000001" } }), /number must be at most 1000000000/],
    [() => filter({ actions: [any], hitsAddend: { format: "a%REQ(x)%" } }), /format must be exactly one operator/],
    [() => filter({ actions: [any], hitsAddend: { format: "%BYTES_SENT%" } }), /the format %BYTES_SENT% is not/],
  ];
  for (const [compile, message] of tests) assert.throws(compile, message);
});

test("a rule of a filter says how many hits a request counts as, and reads numbers as Envoy does", () => {
  const hits = (hitsAddend: JsonObject, value?: string): unknown => {
    const rule = { actions: [{ genericKey: { descriptorValue: "v" } }], hitsAddend };
    const rules = compileFilterRules([fromJson(RateLimitSchema, rule)], ["actions", "hitsAddend"], "test", notes);
    const request = testRequest("/", { headers: value === undefined ? {} : { "x-hits": value } });
    request.metadata.set("cost", { hits: 7 });
    const [descriptor] = descriptorsOf(rules ?? [], request);
    return descriptor === undefined ? "(none)" : descriptor.hits;
  };
  assert.deepEqual(hits({ number: "4" }), { count: 4, refills: false });
  assert.deepEqual(hits({ number: "4", isNegativeHits: true }), { count: 4, refills: true });
  assert.deepEqual(hits({ format: "%DYNAMIC_METADATA(cost:hits)%" }), { count: 7, refills: false });
  // The numbers are those of Envoy 1.40.
  for (const [value, count] of [
    ["2.9", 2],
    ["1e1", 10],
    [" 5 ", 5],
    ["0x2", 2],
    ["+1", 1],
    ["0", 0],
    ["nan", 0],
  ] as const)
    assert.deepEqual(hits({ format: "%REQ(x-hits)%" }, value), { count, refills: false }, value);
  for (const value of ["1000000001", "abc3", "3abc", "-1", "inf", "", undefined])
    assert.equal(hits({ format: "%REQ(x-hits)%" }, value), "(none)", value);
});

test("hits of a route's rule have no effect, as in Envoy, and are reported", () => {
  const notes: string[] = [];
  const rule = fromJson(RateLimitSchema, {
    actions: [{ genericKey: { descriptorValue: "v" } }],
    hitsAddend: { number: "4" },
  });
  const rules = compileRouteRules([rule], "test", new ConfigNotes((note) => notes.push(note)));
  assert.deepEqual(descriptorsOf(rules ?? [], testRequest()), [{ entries: [{ key: "generic_key", value: "v" }] }]);
  assert.match(notes.join(), /test: rateLimits\[0\]: hitsAddend/);
});

test("a descriptor has a header's letters beyond ASCII, as the limits in the configuration write them", () => {
  const request = testRequest("/", { headers: { "x-user": Buffer.from("jürgen").toString("latin1") } });
  assert.equal(described(request, { requestHeaders: { headerName: "x-user", descriptorKey: "k" } }), "k=jürgen");
  assert.equal(described(request, text("request.headers['x-user']")), "k=jürgen");
  assert.equal(described(request, text("request.headers['x-user'] == 'jürgen'")), "k=true");
});

test("a client's long text instead of a number of hits is refused in linear time", () => {
  const rule = { actions: [{ genericKey: { descriptorValue: "v" } }], hitsAddend: { format: "%REQ(x-cost)%" } };
  const rules = compileFilterRules([fromJson(RateLimitSchema, rule)], ["actions", "hitsAddend"], "test", notes);
  const describe = (cost: string): unknown =>
    descriptorsOf(rules ?? [], testRequest("/", { headers: { "x-cost": cost } }));
  assert.deepEqual(describe(`${"0".repeat(10)}x`), []);
  assert.equal(
    suspicion(describe, (size) => `${"0".repeat(size)}x`, 60_000),
    undefined,
  );
});
