import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { seededRandom } from "../../../base/index.ts";
import { envoyRegistry, RouteConfigurationSchema } from "../../../wire/envoy/index.ts";
import { Harness, type Answer, type RequestOptions } from "../../testing/harness.ts";
import { standaloneServices } from "../../filters/filter-services.ts";
import { routeOf, type RouteTable } from "../../routing/route-table.ts";
import { testRequest } from "../../testing/filter-request.ts";
import { operatorForms } from "../../../base/command-operators/index.ts";
import { ConfigNotes } from "../config-check.ts";
import { compileRouteTable } from "./route-config.ts";

const notes = new ConfigNotes(() => undefined);

function compile(table: JsonValue, configNotes = notes): RouteTable {
  return compileRouteTable(fromJson(RouteConfigurationSchema, table, { registry: envoyRegistry() }), configNotes);
}

function named(routes: readonly (readonly [name: string, match: JsonValue])[]): JsonValue {
  return {
    name: "t",
    virtualHosts: [
      {
        name: "all",
        domains: ["*"],
        routes: routes.map(([name, match]) => ({
          name,
          match,
          directResponse: { status: 200, body: { inlineString: name } },
        })),
      },
    ],
  };
}

async function routed(
  table: JsonValue,
  requests: readonly (readonly [path: string, options: RequestOptions])[],
): Promise<Answer[]> {
  await using harness = await Harness.start();
  harness.table = compile(table);
  const answers: Answer[] = [];
  for (const [path, options] of requests) answers.push(await harness.get(path, options));
  return answers;
}

const bodies = (answers: readonly Answer[]): string[] =>
  answers.map((answer) => (answer.status === 404 ? "-" : answer.body));

suite("matches", () => {
  const kinds = [
    ["exact", { path: "/a" }],
    ["under", { pathSeparatedPrefix: "/b" }],
    ["regex", { safeRegex: { regex: "/c/[0-9]+" } }],
    ["nocase", { prefix: "/D", caseSensitive: false }],
    ["prefix", { prefix: "/e" }],
  ] as const;
  const many = Array.from({ length: 20 }, (_, index) => [`other${index}`, { prefix: `/other${index}` }] as const);
  for (const [title, routes] of [
    ["of a short list", kinds],
    ["of a long list, which is searched by path", [...many, ...kinds, ...many]],
  ] as const)
    test(`paths match exactly, by prefix, by path segment, by regular expression and without case, and the first match wins: ${title}`, async () => {
      const table = named(routes);
      const paths = ["/a", "/a/", "/a?x=1", "/b", "/b/x", "/bx", "/c/12", "/c/12x", "/d/x", "/ex", "/x"];
      const expected = ["exact", "-", "exact", "under", "under", "-", "regex", "-", "nocase", "prefix", "-"];
      assert.deepEqual(
        bodies(
          await routed(
            table,
            paths.map((path) => [path, {}] as const),
          ),
        ),
        expected,
      );
    });

  test("headers match by value, presence, absence and inversion, and a route needs all of its matches", async () => {
    const header = (value: Record<string, JsonValue>): JsonValue => ({
      prefix: "/",
      headers: [{ name: "X-H", ...value }],
    });
    const cases: readonly (readonly [
      match: Record<string, JsonValue>,
      taken: readonly string[],
      not: readonly (string | undefined)[],
    ])[] = [
      [{ stringMatch: { exact: "v1" } }, ["v1"], ["V1", "v11", undefined]],
      [{ stringMatch: { exact: "v1", ignoreCase: true } }, ["V1"], ["v2"]],
      [{ stringMatch: { prefix: "v" } }, ["v9"], ["xv"]],
      [{ stringMatch: { suffix: "9" } }, ["v9"], ["9v"]],
      [{ stringMatch: { contains: "b" } }, ["abc"], ["ac"]],
      [{ stringMatch: { safeRegex: { regex: "v[12]" } } }, ["v2"], ["v3", "v22"]],
      [{ rangeMatch: { start: "1", end: "10" } }, ["1", "9"], ["10", "0", "x", "1.5"]],
      [{ presentMatch: true }, ["", "x"], [undefined]],
      [{ stringMatch: { exact: "v1" }, invertMatch: true }, ["v2"], ["v1", undefined]],
    ];
    for (const [match, taken, not] of cases) {
      const requests = [...taken, ...not].map(
        (value) => ["/", { headers: value === undefined ? {} : { "x-h": value } }] as const,
      );
      const expected = [...taken.map(() => "hit"), ...not.map(() => "-")];
      assert.deepEqual(
        bodies(await routed(named([["hit", header(match)]]), requests)),
        expected,
        JSON.stringify(match),
      );
    }
    const absent = named([["absent", header({ presentMatch: true, invertMatch: true })]]);
    assert.deepEqual(
      bodies(
        await routed(absent, [
          ["/", {}],
          ["/", { headers: { "x-h": "1" } }],
        ]),
      ),
      ["absent", "-"],
    );
    const both = named([
      [
        "both",
        {
          prefix: "/",
          headers: [
            { name: ":method", stringMatch: { exact: "PUT" } },
            { name: "a", presentMatch: true },
          ],
        },
      ],
    ]);
    assert.deepEqual(
      bodies(
        await routed(both, [
          ["/", { method: "PUT", headers: { a: "1" } }],
          ["/", { method: "PUT" }],
          ["/", { headers: { a: "1" } }],
        ]),
      ),
      ["both", "-", "-"],
    );
  });

  test("query parameters match by their first value", async () => {
    const table = named([
      ["exact", { prefix: "/", queryParameters: [{ name: "v", stringMatch: { exact: "2" } }] }],
      ["present", { prefix: "/", queryParameters: [{ name: "p", presentMatch: true }] }],
    ]);
    assert.deepEqual(
      bodies(
        await routed(table, [
          ["/?v=2", {}],
          ["/?v=1&v=2", {}],
          ["/?x=1&p", {}],
          ["/", {}],
        ]),
      ),
      ["exact", "-", "present", "-"],
    );
  });

  test("an exact host wins over the longest suffix, the longest prefix and `*`; the port is ignored", async () => {
    const domains = ["a.test", "*.test", "*.b.test", "a.*", "a.b.*", "*"];
    const table = compile({
      name: "t",
      ignorePortInHostMatching: true,
      virtualHosts: domains.map((domain) => ({ name: domain, domains: [domain], routes: [] })),
    });
    const found = [
      "a.test",
      "a.test:8080",
      "x.test",
      "x.b.test",
      "a.example",
      "a.b.example",
      "z.example",
      "[::1]:80",
    ].map((host) => table.virtualHost(host)?.name);
    assert.deepEqual(found, ["a.test", "a.test", "*.test", "*.b.test", "a.*", "a.b.*", "*", "*"]);
  });
});

suite("actions", () => {
  const base = { virtualHosts: [] };
  const one = (route: Record<string, JsonValue>): JsonValue => ({
    ...base,
    name: "t",
    virtualHosts: [{ name: "v", domains: ["*"], routes: [{ name: "r", match: { prefix: "/old" }, ...route }] }],
  });

  test("redirects change the parts that they name and keep the rest", async () => {
    const location = async (redirect: Record<string, JsonValue>): Promise<string> => {
      const [answer] = await routed(one({ redirect }), [["/old/x?q=1", { headers: { host: "shop.test:8080" } }]]);
      return `${answer?.status} ${answer?.headers.location}`;
    };
    assert.equal(await location({ hostRedirect: "new.test", responseCode: "FOUND" }), "302 http://new.test/old/x?q=1");
    assert.equal(await location({ httpsRedirect: true, portRedirect: 443 }), "301 https://shop.test/old/x?q=1");
    assert.equal(
      await location({ pathRedirect: "/new", responseCode: "SEE_OTHER" }),
      "303 http://shop.test:8080/new?q=1",
    );
    assert.equal(
      await location({ prefixRewrite: "/new", stripQuery: true, responseCode: "PERMANENT_REDIRECT" }),
      "308 http://shop.test:8080/new/x",
    );
    assert.equal(
      await location({ regexRewrite: { pattern: { regex: "^/old/(.*)$" }, substitution: "/$n/\\1" } }),
      "301 http://shop.test:8080/$n/x?q=1",
    );
  });

  test("a rewrite gives no client a target that is empty or names another host", async () => {
    await using harness = await Harness.start();
    const { port } = await harness.backend((request, response) => response.end(request.url));
    harness.cluster("c", [port]);
    const regexRewrite = { pattern: { regex: "^/old(.*)$" }, substitution: "\\1" };
    harness.table = compile({
      name: "t",
      virtualHosts: [
        {
          name: "all",
          domains: ["*"],
          routes: [
            { match: { prefix: "/oldest" }, redirect: { regexRewrite } },
            { match: { prefix: "/old" }, route: { cluster: "c", regexRewrite } },
          ],
        },
      ],
    });
    const forwarded = async (path: string): Promise<string> => (await harness.get(path)).body;
    assert.equal(await forwarded("/old/x"), "/x");
    assert.equal(await forwarded("/old"), "/old");
    assert.equal(await forwarded("/old?x=1"), "/old?x=1");
    assert.equal(await forwarded("/oldhttp://evil.test/x"), "/http://evil.test/x");
    const redirected = await harness.get("/oldest.evil.test", { headers: { host: "shop.test" } });
    assert.equal(redirected.headers.location, "http://shop.test/est.evil.test");
  });

  test("a route rewrites path and host, and changes headers of requests and responses", async () => {
    await using harness = await Harness.start();
    const { port } = await harness.backend((request, response) => {
      response.setHeader("x-secret", "1");
      response.setHeader("x-kept", "upstream");
      response.end(
        JSON.stringify({
          url: request.url,
          host: request.headers.host,
          a: request.headers["x-a"],
          b: request.headers["x-b"],
          from: request.headers["x-from"],
        }),
      );
    });
    harness.cluster("c", [port]);
    harness.table = compile(
      one({
        route: { cluster: "c", prefixRewrite: "/new", hostRewriteLiteral: "inner.test" },
        requestHeadersToAdd: [
          { header: { key: "x-a", value: "route" }, appendAction: "OVERWRITE_IF_EXISTS_OR_ADD" },
          { header: { key: "x-from", value: "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %REQ(:method)%" } },
        ],
        requestHeadersToRemove: ["x-b"],
        responseHeadersToAdd: [{ header: { key: "x-kept", value: "more" } }],
        responseHeadersToRemove: ["x-secret"],
      }),
    );
    const answer = await harness.get("/old/x?q=1", {
      headers: { "X-A": "client", "x-b": "client", host: "shop.test" },
    });
    assert.deepEqual(JSON.parse(answer.body), {
      url: "/new/x?q=1",
      host: "inner.test",
      a: "route",
      from: "127.0.0.1 GET",
    });
    assert.equal(answer.headers["x-kept"], "upstream, more");
    assert.equal(answer.headers["x-secret"], undefined);
  });

  test("settings that Envoy accepts do not make the whole table invalid: a path that replaces a regular expression's, and retries by headers", async () => {
    const [answer] = await routed(
      {
        name: "t",
        virtualHosts: [
          {
            name: "all",
            domains: ["*"],
            routes: [
              { match: { safeRegex: { regex: "/a/[0-9]+" } }, redirect: { prefixRewrite: "/b" } },
              {
                match: { prefix: "/" },
                route: { cluster: "c", retryPolicy: { retryOn: "retriable-headers,connect-failure" } },
              },
            ],
          },
        ],
      },
      [["/a/1?q", {}]],
    );
    assert.match(answer?.headers["location"] ?? "", /\/b\?q$/);
  });

  test("an Envoy variable that has no value here is reported and empty, and does not affect other routes", async () => {
    await using harness = await Harness.start();
    const { port } = await harness.backend((request, response) => {
      response.end(JSON.stringify([request.headers["x-a"], request.headers["x-b"]]));
    });
    harness.cluster("c", [port]);
    const noted: string[] = [];
    harness.table = compile(
      one({
        route: { cluster: "c" },
        requestHeadersToAdd: [
          { header: { key: "x-a", value: "[%RESP(y)%%UPSTREAM_TLS_CIPHER%]" } },
          { header: { key: "x-b", value: "%CEL(f(1))%" } },
        ],
      }),
      new ConfigNotes((note) => noted.push(note)),
    );
    assert.deepEqual(JSON.parse((await harness.get("/old", {})).body), ["[]", null]);
    assert.deepEqual(
      noted.map((note) => /%.*%/.exec(note)?.[0]),
      ["%RESP(y)%", "%UPSTREAM_TLS_CIPHER%", "%CEL(f(1))%"],
    );
  });

  test("a header may have every variable that the API server admits", () => {
    const written = [...operatorForms].map(([name, { argument }]) => (argument === "always" ? `${name}(a:b)` : name));
    for (const variable of written)
      compile(
        one({
          route: { cluster: "c" },
          requestHeadersToAdd: [{ header: { key: "x", value: `%${variable}%` } }],
          responseHeadersToAdd: [{ header: { key: "x", value: `%${variable}:5%` } }],
        }),
      );
  });

  test("CORS answers preflights of allowed origins, and marks the other answers", async () => {
    await using harness = await Harness.start();
    harness.cluster("c", [(await harness.backend((_request, response) => response.end("ok"))).port]);
    const policy = {
      "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy",
      allowOriginStringMatch: [{ exact: "https://a.test" }],
      allowMethods: "GET,PUT",
      maxAge: "60",
      allowCredentials: true,
    };
    harness.table = compile(
      one({ route: { cluster: "c" }, typedPerFilterConfig: { "envoy.filters.http.cors": policy } }),
    );
    const preflight = await harness.get("/old", {
      method: "OPTIONS",
      headers: { origin: "https://a.test", "access-control-request-method": "PUT" },
    });
    assert.deepEqual(
      [
        preflight.status,
        preflight.body,
        ...["origin", "credentials", "methods"].map((name) => preflight.headers[`access-control-allow-${name}`]),
      ],
      [200, "", "https://a.test", "true", "GET,PUT"],
    );
    const plain = await harness.get("/old", { headers: { origin: "https://a.test" } });
    assert.deepEqual([plain.body, plain.headers["access-control-allow-origin"]], ["ok", "https://a.test"]);
    const stranger = await harness.get("/old", { headers: { origin: "https://b.test" } });
    assert.deepEqual([stranger.body, stranger.headers["access-control-allow-origin"]], ["ok", undefined]);
  });

  test("a CORS policy for the origin `*` allows all origins, and tells each browser its own", async () => {
    await using harness = await Harness.start();
    harness.cluster("c", [(await harness.backend((_request, response) => response.end("ok"))).port]);
    const allowed = async (origins: readonly JsonValue[]): Promise<unknown> => {
      const policy = {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy",
        allowOriginStringMatch: [...origins],
      };
      harness.table = compile(
        one({ route: { cluster: "c" }, typedPerFilterConfig: { "envoy.filters.http.cors": policy } }),
      );
      return (await harness.get("/old", { headers: { origin: "https://b.test" } })).headers[
        "access-control-allow-origin"
      ];
    };
    assert.equal(await allowed([{ exact: "https://a.test" }, { exact: "*" }]), "https://b.test");
    assert.equal(await allowed([{ exact: "https://a.test" }]), undefined);
    assert.equal(await allowed([{ prefix: "https://b." }]), "https://b.test");
  });

  test("a CORS policy that applies to a fraction of requests is refused, and a shadow policy is reported", () => {
    const notes: string[] = [];
    const cors = (more: Record<string, JsonValue>): unknown => {
      const policy = {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy",
        allowOriginStringMatch: [{ exact: "https://a.test" }],
        ...more,
      };
      const message = fromJson(
        RouteConfigurationSchema,
        one({ route: { cluster: "c" }, typedPerFilterConfig: { "envoy.filters.http.cors": policy } }),
        { registry: envoyRegistry() },
      );
      return compileRouteTable(message, new ConfigNotes((note) => notes.push(note))).virtualHosts[0]?.routes[0]?.cors;
    };
    const part = (numerator: number): JsonValue => ({ defaultValue: { numerator } });
    assert.notEqual(cors({ filterEnabled: part(100) }), undefined);
    assert.equal(cors({ filterEnabled: part(0), shadowEnabled: part(100) }), undefined);
    assert.deepEqual(notes, ["envoy.filters.http.cors: shadowEnabled has no effect here: origins are not counted"]);
    assert.throws(
      () => cors({ filterEnabled: part(50) }),
      /typedPerFilterConfig envoy.filters.http.cors: filterEnabled for a part of the requests is not supported/,
    );
  });

  test("the error for an unsupported route field names the route and the field", () => {
    const refused: readonly (readonly [route: Record<string, JsonValue>, message: RegExp])[] = [
      [
        { route: { cluster: "c", hedgePolicy: { hedgeOnPerTryTimeout: true } } },
        /route r: the field hedgePolicy is not supported/,
      ],
      [
        { route: { cluster: "c", retryPolicy: { retryOn: "connect-failure,sometimes" } } },
        /retryPolicy: retryOn "sometimes" is not supported/,
      ],
      [
        { route: { cluster: "c", retryPolicy: { retryOn: "constructor" } } },
        /retryPolicy: retryOn "constructor" is not supported/,
      ],
      [
        { route: { weightedClusters: { clusters: [{ name: "c", weight: 0 }] } } },
        /the weights must sum up to more than 0/,
      ],
      [
        { match: { safeRegex: { regex: "((a?){1000}){9}" } }, route: { cluster: "c" } },
        /the regular expression "\(\(a\?\)\{1000\}\)\{9\}" has about 36018 instructions, of at most 32768/,
      ],
      [
        { match: { safeRegex: { regex: "(" } }, route: { cluster: "c" } },
        /the regular expression "\(" is not RE2: missing closing \)/,
      ],
      [
        { route: { cluster: "c" }, requestHeadersToAdd: [{ header: { key: ":path", value: "/" } }] },
        /the header :path must not be changed/,
      ],
      [
        { route: { cluster: "c" }, requestHeadersToAdd: [{ header: { key: "x", value: "%FOO%" } }] },
        /%FOO% is not supported/,
      ],
      [
        {
          route: { cluster: "c" },
          typedPerFilterConfig: {
            "envoy.filters.http.lua": { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
          },
        },
        /typedPerFilterConfig envoy.filters.http.lua is not supported/,
      ],
    ];
    for (const [route, message] of refused) assert.throws(() => compile(one(route)), message);
    assert.throws(
      () =>
        compile({
          name: "t",
          virtualHosts: [
            { name: "a", domains: ["x"] },
            { name: "b", domains: ["X"] },
          ],
        }),
      /the domain X is in the virtual hosts a and b/,
    );
  });

  test("a change of a framing header is noted and leaves the other routes in effect", () => {
    const noted: string[] = [];
    const message = fromJson(RouteConfigurationSchema, {
      name: "t",
      virtualHosts: [
        {
          name: "v",
          domains: ["*"],
          routes: [
            {
              match: { prefix: "/" },
              route: { cluster: "c" },
              requestHeadersToAdd: [
                { header: { key: "Content-Length", value: "1" } },
                { header: { key: "x", value: "1" } },
              ],
              responseHeadersToRemove: ["connection", "y"],
            },
          ],
        },
      ],
    });
    const route = compileRouteTable(message, new ConfigNotes((note) => noted.push(note))).virtualHosts[0]?.routes[0];
    assert.deepEqual(
      route?.requestMutations.flatMap(({ add }) => add.map(({ name }) => name)),
      ["x"],
    );
    assert.deepEqual(
      route.responseMutations.flatMap(({ remove }) => remove),
      ["y"],
    );
    assert.equal(noted.length, 2);
    assert.match(noted[0] ?? "", /a change of the header Content-Length has no effect here/);
  });

  test("a route without a timeout has Envoy's 15 s, and a virtual host's retries apply to its routes", () => {
    const table = compile({
      name: "t",
      virtualHosts: [
        {
          name: "v",
          domains: ["*"],
          retryPolicy: { retryOn: "5xx" },
          routes: [{ name: "r", match: { prefix: "/" }, route: { cluster: "c" } }],
        },
      ],
    });
    const action = table.virtualHosts[0]?.routes[0]?.action;
    assert.ok(action?.kind === "forward");
    assert.deepEqual([action.timeoutMs, action.retry?.on.serverError, action.retry?.retries], [15_000, true, 1]);
    assert.deepEqual(table.clusters(), new Set(["c"]));
  });
});

test("a runtime fraction matches a random share of the requests", () => {
  const table = compileRouteTable(
    fromJson(
      RouteConfigurationSchema,
      named([
        ["some", { prefix: "/", runtimeFraction: { defaultValue: { numerator: 30 } } }],
        ["rest", { prefix: "/" }],
      ]),
      { registry: envoyRegistry() },
    ),
    new ConfigNotes(() => undefined, { ...standaloneServices(), random: seededRandom(4) }),
  );
  const host = table.virtualHost("a") ?? assert.fail();
  const taken = Array.from({ length: 2000 }, () => routeOf(host, testRequest())?.name).filter(
    (name) => name === "some",
  ).length;
  assert.ok(Math.abs(taken - 600) < 4 * Math.sqrt(2000 * 0.3 * 0.7), String(taken));
});

test("timeouts, hashes and mirrors of a route follow Istio's configuration", () => {
  const route = {
    cluster: "c",
    timeout: "0s",
    idleTimeout: "7s",
    maxGrpcTimeout: "5s",
    maxStreamDuration: { maxStreamDuration: "9s", grpcTimeoutHeaderMax: "0s" },
    hashPolicy: [
      { header: { headerName: "X-User" }, terminal: true },
      { cookie: { name: "s", ttl: "60s", path: "/" } },
      { connectionProperties: { sourceIp: true } },
      { queryParameter: { name: "q" } },
    ],
    requestMirrorPolicies: [
      { cluster: "m", runtimeFraction: { defaultValue: { numerator: 50 } } },
      { cluster: "n", disableShadowHostSuffixAppend: true },
    ],
  };
  const [only] =
    compile({ name: "t", virtualHosts: [{ name: "v", domains: ["*"], routes: [{ match: { prefix: "/" }, route }] }] })
      .virtualHosts[0]?.routes ?? [];
  const action = only?.action.kind === "forward" ? only.action : assert.fail();
  assert.deepEqual(
    [action.timeoutMs, action.idleTimeoutMs, action.grpcTimeout, action.stream],
    [0, 7000, { maxMs: 5000, offsetMs: 0 }, { maxMs: 9000, grpcTimeout: { maxMs: 0, offsetMs: 0 } }],
  );
  assert.deepEqual(action.hashPolicies, [
    { terminal: true, kind: "header", name: "x-user", rewrite: undefined },
    { terminal: false, kind: "cookie", name: "s", path: "/", ttlSeconds: 60, attributes: [] },
    { terminal: false, kind: "source-ip" },
    { terminal: false, kind: "query", name: "q" },
  ]);
  assert.deepEqual(action.mirrors, [
    { cluster: "m", fraction: 0.5, keepHost: false },
    { cluster: "n", fraction: 1, keepHost: true },
  ]);
});
