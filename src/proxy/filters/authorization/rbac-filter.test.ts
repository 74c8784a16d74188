import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import {
  envoyRegistry,
  HttpRbacPerRouteSchema,
  HttpRbacSchema,
  NetworkRbacSchema,
  UriTemplateMatchConfigSchema,
} from "../../../wire/envoy/index.ts";
import { createLogger, type Logger, type LogThreshold } from "../../../base/index.ts";
import { ConfigNotes } from "../../config/config-check.ts";
import { compileHttpRbac, compileHttpRbacPerRoute, compileNetworkRbac } from "../../config/filters/rbac-config.ts";
import { connectionFrom, mutualTls, testRequest } from "../../testing/filter-request.ts";
import { FilterStatistics } from "../../terms/filter-statistics.ts";
import { NetworkRbacFilter, RbacFilter } from "./rbac-filter.ts";

const notes = new ConfigNotes(() => undefined);
const name = "envoy.filters.http.rbac";
const any = { any: true };

function filterOf(config: JsonObject, statistics = new FilterStatistics(), log?: Logger): RbacFilter {
  const message = fromJson(HttpRbacSchema, config, { registry: envoyRegistry() });
  return new RbacFilter(
    name,
    compileHttpRbac(message, "test", notes),
    { statistics, ...(log === undefined ? {} : { log }) },
    "http.in.",
  );
}

function policy(permissions: JsonObject[], principals: JsonObject[] = [any], action = "ALLOW"): JsonObject {
  return { rules: { action, policies: { p: { permissions, principals } } } };
}

const productpage = mutualTls("spiffe://cluster.local/ns/demo/sa/productpage", { serverName: "reviews.test" });
const meshed = connectionFrom("10.0.0.1", { tls: productpage, local: { address: "10.1.0.9", port: 9080 } });
const claims = new Map<string, unknown>([
  [
    "envoy.filters.http.jwt_authn",
    { payload: { iss: "me", sub: "you", aud: ["a", "b"], nested: { group: "admin" }, yes: true } },
  ],
]);
const claim = (path: string[], value: JsonObject, invert = false): JsonObject => ({
  metadata: { filter: "envoy.filters.http.jwt_authn", path: path.map((key) => ({ key })), value, invert },
});

describe("permissions", () => {
  const header = (key: string, match: JsonObject): JsonObject => ({ header: { name: key, ...match } });
  const rows: readonly (readonly [fact: string, permission: JsonObject, matches: boolean])[] = [
    ["any", any, true],
    ["a method", header(":method", { stringMatch: { exact: "GET" } }), true],
    ["another method", header(":method", { stringMatch: { exact: "POST" } }), false],
    ["the host, without case", header(":authority", { stringMatch: { exact: "A.TEST", ignoreCase: true } }), true],
    ["the path without its query", { urlPath: { path: { exact: "/api/v1" } } }, true],
    ["a prefix of the path", { urlPath: { path: { prefix: "/api" } } }, true],
    ["a regular expression of the whole path", { urlPath: { path: { safeRegex: { regex: "/api" } } } }, false],
    ["not", { notRule: { urlPath: { path: { prefix: "/api" } } } }, false],
    ["and", { andRules: { rules: [any, { destinationPort: 9080 }] } }, true],
    ["and with one that does not", { andRules: { rules: [any, { destinationPort: 80 }] } }, false],
    ["or", { orRules: { rules: [{ destinationPort: 80 }, { destinationPort: 9080 }] } }, true],
    ["a range of ports without its end", { destinationPortRange: { start: 9000, end: 9080 } }, false],
    ["a range of ports", { destinationPortRange: { start: 9080, end: 9081 } }, true],
    ["a range of addresses", { destinationIp: { addressPrefix: "10.1.0.0", prefixLen: 16 } }, true],
    ["another range", { destinationIp: { addressPrefix: "10.2.0.0", prefixLen: 16 } }, false],
    ["SNI", { requestedServerName: { exact: "reviews.test" } }, true],
    ["what another filter said", claim(["payload", "nested", "group"], { stringMatch: { exact: "admin" } }), true],
  ];
  for (const [fact, permission, matches] of rows) {
    test(fact, () => {
      const request = testRequest("/api/v1?x=1", { connection: meshed });
      for (const [key, value] of claims) request.metadata.set(key, value);
      assert.equal(filterOf(policy([permission])).onRequest(request) === undefined, matches);
    });
  }
  test("the SNI of a connection whose TLS ends elsewhere", () => {
    const passed = connectionFrom("10.0.0.1", { serverName: "reviews.test" });
    const denies = filterOf(policy([{ requestedServerName: { exact: "reviews.test" } }], [any], "DENY"));
    assert.equal(denies.onRequest(testRequest("/", { connection: passed }))?.status, 403);
  });
  test("a path template: one segment each, and a remaining path", () => {
    const template = (pathTemplate: string): JsonObject => {
      const config = anyPack(UriTemplateMatchConfigSchema, fromJson(UriTemplateMatchConfigSchema, { pathTemplate }));
      return { uriTemplate: { name: "t", typedConfig: { "@type": config.typeUrl, pathTemplate } } };
    };
    const allows = (pattern: string, path: string): boolean =>
      filterOf(policy([template(pattern)])).onRequest(testRequest(path)) === undefined;
    assert.deepEqual(
      ["/a/x/b", "/a//b", "/a/x/y/b"].map((path) => allows("/a/{*}/b", path)),
      [true, false, false],
    );
    assert.deepEqual(
      ["/a/x-y/b", "/a/-y/b", "/a/x-/y/b", `/a/${"-".repeat(20_000)}`].map((path) => allows("/a/{one}-{two}/b", path)),
      [true, false, false, false],
      "also where a path could be shared out in many ways",
    );
    assert.deepEqual(
      ["/a/x-y/b/c", "/a/b"].map((path) => allows("/a/{*}-{**}", path)),
      [true, false],
    );
    assert.deepEqual(
      ["/a/", "/a/x/y", "/b"].map((path) => allows("/a/{**}", path)),
      [true, true, false],
    );
  });
});

describe("principals", () => {
  const rows: readonly (readonly [fact: string, principal: JsonObject, matches: boolean])[] = [
    [
      "an identity",
      { authenticated: { principalName: { exact: "spiffe://cluster.local/ns/demo/sa/productpage" } } },
      true,
    ],
    ["an identity's end", { authenticated: { principalName: { suffix: "/sa/productpage" } } }, true],
    ["a namespace", { authenticated: { principalName: { safeRegex: { regex: ".*/ns/demo/.*" } } } }, true],
    ["another namespace", { authenticated: { principalName: { safeRegex: { regex: ".*/ns/dem/.*" } } } }, false],
    ["anybody with an identity", { authenticated: {} }, true],
    [
      "an identity as a tunnel's end knows it",
      { filterState: { key: "io.istio.peer_principal", stringMatch: { prefix: "spiffe://cluster.local/" } } },
      true,
    ],
    ["the peer's address", { directRemoteIp: { addressPrefix: "10.0.0.1", prefixLen: 32 } }, true],
    ["the client's address is another", { remoteIp: { addressPrefix: "10.0.0.1", prefixLen: 32 } }, false],
    ["the client's address", { remoteIp: { addressPrefix: "203.0.113.0", prefixLen: 24 } }, true],
    ["not, or, and", { notId: { orIds: { ids: [{ andIds: { ids: [any, { notId: any }] } }] } } }, true],
    ["a field", { header: { name: "x-user", stringMatch: { prefix: "jo" } } }, true],
    ["a claim in a list", claim(["payload", "aud"], { listMatch: { oneOf: { stringMatch: { exact: "b" } } } }), true],
    [
      "one of several forms of a claim",
      claim(["payload", "sub"], {
        orMatch: { valueMatchers: [{ boolMatch: true }, { stringMatch: { exact: "you" } }] },
      }),
      true,
    ],
    ["a claim that is missing", claim(["payload", "groups"], { presentMatch: true }), false],
    ["a claim, inverted", claim(["payload", "iss"], { stringMatch: { exact: "me" } }, true), false],
  ];
  for (const [fact, principal, matches] of rows) {
    test(fact, () => {
      const request = testRequest("/", {
        connection: meshed,
        clientAddress: "203.0.113.7",
        headers: { "x-user": "joe" },
      });
      for (const [key, value] of claims) request.metadata.set(key, value);
      assert.equal(filterOf(policy([any], [principal])).onRequest(request) === undefined, matches);
    });
  }
  test("after a PROXY header, the direct remote address is the balancer's", () => {
    const balanced = connectionFrom("203.0.113.7", { directRemote: { address: "10.0.0.9", port: 5000 } });
    const takes = (principal: JsonObject): boolean =>
      filterOf(policy([any], [principal])).onRequest(testRequest("/", { connection: balanced })) === undefined;
    const [balancers, clients] = [
      { addressPrefix: "10.0.0.0", prefixLen: 24 },
      { addressPrefix: "203.0.113.0", prefixLen: 24 },
    ];
    assert.deepEqual([takes({ directRemoteIp: balancers }), takes({ directRemoteIp: clients })], [true, false]);
    assert.deepEqual([takes({ remoteIp: balancers }), takes({ remoteIp: clients })], [false, true]);
  });
  test("a principal matches any URI of the client's certificate, not only the first", () => {
    const uris = ["spiffe://outside/ns/a/sa/first", "spiffe://outside/ns/a/sa/second"] as const;
    const tls = mutualTls(uris[0], { peerUris: () => uris });
    const denies = (exact: string): boolean => {
      const filter = filterOf(policy([any], [{ authenticated: { principalName: { exact } } }], "DENY"));
      return filter.onRequest(testRequest("/", { connection: connectionFrom("10.0.0.1", { tls }) })) !== undefined;
    };
    assert.deepEqual([...uris, "spiffe://outside/ns/a/sa/third"].map(denies), [true, true, false]);
  });
  test("plaintext, or an unverified certificate, does not count as authenticated", () => {
    const filter = filterOf(policy([any], [{ authenticated: {} }]));
    assert.equal(filter.onRequest(testRequest())?.status, 403);
    assert.equal(
      filter.onRequest(
        testRequest("/", {
          connection: connectionFrom("10.0.0.1", { tls: mutualTls("spiffe://x", { verified: false }) }),
        }),
      )?.status,
      403,
    );
  });
});

test("DENY refuses what a policy matches and names it, ALLOW without policies refuses everything, and LOG refuses nothing", () => {
  const denies = filterOf(policy([{ urlPath: { path: { prefix: "/admin" } } }], [any], "DENY"));
  assert.deepEqual(denies.onRequest(testRequest("/admin/x")), {
    status: 403,
    body: "RBAC: access denied",
    headers: [],
    flag: 0,
    details: "rbac_access_denied_matched_policy[p]",
  });
  assert.equal(denies.onRequest(testRequest("/")), undefined);
  assert.equal(filterOf({ rules: {} }).onRequest(testRequest())?.details, "rbac_access_denied_matched_policy[none]");
  assert.equal(filterOf({}).onRequest(testRequest()), undefined);
  const logs = filterOf(policy([{ urlPath: { path: { prefix: "/admin" } } }], [any], "LOG"));
  const hints = ["/admin", "/"].map((path) => {
    const request = testRequest(path);
    assert.equal(logs.onRequest(request), undefined);
    return request.metadata.get("envoy.common");
  });
  assert.deepEqual(hints, [{ access_log_hint: true }, { access_log_hint: false }], "Envoy's word to access logs");
});

test("a dry run is counted and reported, and refuses nothing", () => {
  const statistics = new FilterStatistics();
  const rules = { action: "DENY", policies: { "ns[a]-policy[b]-rule[0]": { permissions: [any], principals: [any] } } };
  const filter = filterOf({ shadowRules: rules, shadowRulesStatPrefix: "istio_dry_run_deny_" }, statistics);
  const request = testRequest();
  assert.equal(filter.onRequest(request), undefined);
  assert.equal(statistics.counter("http.in.rbac.istio_dry_run_deny_shadow_denied").value, 1);
  assert.deepEqual(request.metadata.get(name), {
    istio_dry_run_deny_shadow_engine_result: "denied",
    istio_dry_run_deny_shadow_effective_policy_id: "ns[a]-policy[b]-rule[0]",
  });
});

test("a route has its own rules, or none", () => {
  const filter = filterOf({ rules: {} });
  const own = (config: JsonObject): ReadonlyMap<string, object> =>
    new Map([[name, compileHttpRbacPerRoute(fromJson(HttpRbacPerRouteSchema, config), "test", notes)]]);
  assert.equal(filter.onRequest(testRequest("/", { filterConfigs: own({}) })), undefined);
  assert.equal(filter.onRequest(testRequest("/", { filterConfigs: own({ rbac: policy([any]) }) })), undefined);
  assert.equal(
    filter.onRequest(testRequest("/", { filterConfigs: own({ rbac: policy([{ destinationPort: 1 }]) }) }))?.status,
    403,
  );
});

test("at the level debug each decision is logged in Envoy's words, with what the rules saw", () => {
  const lines: string[] = [];
  const threshold: LogThreshold = { level: "info" };
  const log = createLogger({ scope: "proxy", level: threshold, write: (line) => void lines.push(line) });
  const { rules = {} } = policy([{ urlPath: { path: { exact: "/headers" } } }], [any], "DENY");
  const filter = filterOf({ rules, shadowRules: rules }, new FilterStatistics(), log);
  const ask = (): unknown => filter.onRequest(testRequest("/headers?token=secret", { connection: meshed }));
  ask();
  assert.equal(lines.length, 0);
  threshold.level = "debug";
  ask();
  filter.onRequest(testRequest("/ip", { connection: connectionFrom("10.0.0.2") }));
  const client =
    "source=10.0.0.1 source_principal=spiffe://cluster.local/ns/demo/sa/productpage destination=10.1.0.9:9080";
  assert.deepEqual(
    lines.map((line) => line.slice(line.indexOf("\t") + 1)),
    [
      `debug\trbac\tshadow denied, matched policy p\t${client} method=GET authority=a.test path=/headers\n`,
      `debug\trbac\tenforced denied, matched policy p\t${client} method=GET authority=a.test path=/headers\n`,
      "debug\trbac\tshadow allowed, matched policy none\tsource=10.0.0.2 destination=10.1.0.9:8080 method=GET authority=a.test path=/ip\n",
      "debug\trbac\tenforced allowed, matched policy none\tsource=10.0.0.2 destination=10.1.0.9:8080 method=GET authority=a.test path=/ip\n",
    ],
  );
});

test("connections obey the same rules, and rules on requests match no connection", () => {
  const filterFor = (config: JsonObject): NetworkRbacFilter => {
    const message = fromJson(NetworkRbacSchema, { statPrefix: "tcp.", ...config }, { registry: envoyRegistry() });
    return new NetworkRbacFilter(
      "envoy.filters.network.rbac",
      compileNetworkRbac(message, "test", notes),
      { statistics: new FilterStatistics() },
      message.statPrefix,
    );
  };
  assert.equal(filterFor({ rules: {} }).onConnection(meshed, new Map()), "deny");
  assert.equal(filterFor({}).onConnection(meshed, new Map()), "allow");
  assert.equal(filterFor(policy([{ destinationPort: 9080 }])).onConnection(meshed, new Map()), "allow");
  assert.equal(
    filterFor(policy([{ header: { name: ":method", stringMatch: { exact: "GET" } } }])).onConnection(meshed, new Map()),
    "deny",
  );
});

test("a rule with an unknown part is refused, not ignored", () => {
  assert.throws(
    () => filterOf(policy([any], [{ filterState: { key: "other", stringMatch: { exact: "x" } } }])),
    /rules: policy p: the filterState other is not supported/,
  );
  assert.throws(() => filterOf(policy([])), /rules: policy p: permissions must have at least one entry/);
  assert.throws(() => filterOf(policy([any], [])), /principals must have at least one entry/);
  for (const none of [{ andRules: {} }, { orRules: {} }])
    assert.throws(() => filterOf(policy([none])), /Rules\.rules must have at least one entry/);
  for (const none of [{ andIds: {} }, { notId: { orIds: {} } }])
    assert.throws(() => filterOf(policy([any], [none])), /Ids\.ids must have at least one entry/);
  assert.throws(() => filterOf(policy([{}])), /the permission \(none\) is not supported/);
  const conditional = { permissions: [any], principals: [any], condition: { identExpr: { name: "request" } } };
  assert.throws(
    () => filterOf({ rules: { action: "ALLOW", policies: { p: conditional } } }),
    /policy p: the field condition is not supported/,
  );
  assert.throws(
    () => filterOf(policy([{ destinationIp: { addressPrefix: "nowhere" } }])),
    /"nowhere" is not an IP address/,
  );
});
