import assert from "node:assert/strict";
import { once } from "node:events";
import { before, test } from "node:test";
import { fromJson, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey } from "jose";
import type { HttpSpec } from "../../http/http-spec.ts";
import { envoyRegistry, HttpConnectionManagerSchema } from "../../../wire/envoy/index.ts";
import { Harness } from "../../testing/harness.ts";
import { ConfigNotes } from "../config-check.ts";
import { compileHttpConnectionManager } from "./http-connection-manager-config.ts";

function compile(config: JsonObject, notes: string[] = []): HttpSpec {
  const message = fromJson(
    HttpConnectionManagerSchema,
    { statPrefix: "in", routeConfig: { name: "r" }, ...config },
    { registry: envoyRegistry() },
  );
  return compileHttpConnectionManager(message, "listener l", new ConfigNotes((note) => void notes.push(note)));
}

const filter = (name: string, type: string, config: JsonObject = {}): JsonObject => ({
  name,
  typedConfig: { "@type": `type.googleapis.com/${type}`, ...config },
});
const fault = "envoy.extensions.filters.http.fault.v3.HTTPFault";
const all = { numerator: 100 };

async function serving(httpFilters: JsonValue[], routes: JsonValue[], more: JsonObject = {}): Promise<Harness> {
  const spec = compile({
    httpFilters,
    routeConfig: { name: "r", virtualHosts: [{ name: "v", domains: ["*"], routes }] },
    ...more,
  });
  const harness = await Harness.start(spec.connection);
  assert.ok(spec.routes.kind === "inline");
  harness.table = spec.routes.table;
  for (const name of ["a", "b"])
    harness.cluster(name, [
      (await harness.backend((request, response) => response.end(`${name} ${String(request.headers["x-sub"] ?? "")}`)))
        .port,
    ]);
  return harness;
}

test("Istio's usual filters are accepted, and cost nothing if they have no configuration", () => {
  const { connection } = compile({
    httpFilters: [
      filter("istio.metadata_exchange", "udpa.type.v1.TypedStruct", {
        typeUrl: "type.googleapis.com/io.istio.http.peer_metadata.Config",
        value: {
          downstream_discovery: [{ istio_headers: {} }, { workload_discovery: {} }],
          downstream_propagation: [{ istio_headers: {} }],
        },
      }),
      filter("envoy.filters.http.grpc_stats", "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig"),
      filter("istio.alpn", "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig"),
      filter("envoy.filters.http.fault", fault),
      filter("envoy.filters.http.cors", "envoy.extensions.filters.http.cors.v3.Cors"),
      filter("istio.stats", "stats.PluginConfig"),
      filter("envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router"),
    ],
    forwardClientCertDetails: "APPEND_FORWARD",
    setCurrentClientCertDetails: { subject: true, dns: true, uri: true },
  });
  assert.deepEqual([connection.filters.length, connection.filtersIdle], [1, true]);
  assert.deepEqual(connection.peerMetadata, {
    readFromClient: true,
    writeToClient: true,
    readFromUpstream: false,
    writeToUpstream: false,
    inMeshOnly: false,
    labelNames: [],
  });
  assert.deepEqual(
    [connection.clientCertificate, connection.clientCertificateFields],
    ["append", ["Subject", "URI", "DNS"]],
  );
});

/** A type that is not the configuration of any filter here. */
const unknown = "envoy.config.route.v3.FilterConfig";

test("unsupported filters and fields of a listener are rejected, and the error names them", () => {
  assert.throws(
    () => compile({ httpFilters: [filter("envoy.filters.http.tap", unknown)] }),
    /listener l: the HTTP filter envoy.filters.http.tap is not supported/,
  );
  assert.throws(
    () => compile({ httpFilters: [filter("x", fault, { upstreamCluster: "c" })] }),
    /the HTTP filter x: the field upstreamCluster is not supported/,
  );
  assert.throws(
    () => compile({ httpFilters: [{ name: "x", configDiscovery: { typeUrls: ["y"] } }] }),
    /the HTTP filter x: configDiscovery from no source, other than ads, is not supported/,
  );
  assert.throws(
    () =>
      compile({
        httpFilters: [
          {
            name: "x",
            configDiscovery: { configSource: { ads: {} }, typeUrls: ["y"], applyDefaultConfigWithoutWarming: true },
          },
        ],
      }),
    /the HTTP filter x: applyDefaultConfigWithoutWarming needs a defaultConfig/,
  );
  assert.throws(() => compile({ via: "me" }), /the field via is not supported/);
  assert.throws(
    () => compile({ httpProtocolOptions: { allowChunkedLength: true } }),
    /httpProtocolOptions: the field allowChunkedLength is not supported/,
  );
  assert.equal(
    compile({ httpFilters: [{ ...filter("envoy.filters.http.tap", unknown), isOptional: true }] }).connection.filters
      .length,
    0,
  );
});

test("a listener limits the duration and the requests of its connections", () => {
  const limits = ({ connection }: HttpSpec): number[] => [
    connection.maxConnectionMs,
    connection.maxRequestsPerConnection,
  ];
  const commonHttpProtocolOptions = { maxConnectionDuration: "90s", maxRequestsPerConnection: 5 };
  assert.deepEqual(
    [limits(compile({ commonHttpProtocolOptions })), limits(compile({}))],
    [
      [90_000, 5],
      [0, 0],
    ],
  );
});

test("the formatter that keeps the case of headers is accepted without a note, because the proxy always keeps it", () => {
  const notes: string[] = [];
  const typedConfig = {
    "@type": "type.googleapis.com/envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig",
  };
  const headerKeyFormat = { statefulFormatter: { name: "preserve_case", typedConfig } };
  compile({ httpProtocolOptions: { headerKeyFormat } }, notes);
  assert.deepEqual(notes, []);
});

test("headersWithUnderscoresAction keeps a header with an underscore, drops it, or refuses its request", async () => {
  const answers: string[] = [];
  for (const headersWithUnderscoresAction of ["ALLOW", "DROP_HEADER", "REJECT_REQUEST"]) {
    const routes = [
      { match: { prefix: "/", headers: [{ name: "x_role", presentMatch: true }] }, route: { cluster: "a" } },
      { match: { prefix: "/" }, route: { cluster: "b" } },
    ];
    await using harness = await serving([], routes, { commonHttpProtocolOptions: { headersWithUnderscoresAction } });
    for (const headers of [{ x_role: "admin", "x-sub": "1" }, { "x-sub": "1" }]) {
      const { status, body } = await harness.get("/", { headers });
      answers.push(status === 200 ? body : String(status));
    }
  }
  assert.deepEqual(answers, ["a 1", "b 1", "b 1", "b 1", "400", "b 1"]);
});

test("the client's address is the peer's if x-forwarded-for has no valid address", async () => {
  const clientAddressHeader = { header: { key: "x-sub", value: "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%" } };
  await using harness = await serving(
    [],
    [{ match: { prefix: "/" }, route: { cluster: "a" }, requestHeadersToAdd: [clientAddressHeader] }],
    { useRemoteAddress: false },
  );
  const clientOf = async (forwarded: string): Promise<string> =>
    (await harness.get("/", { headers: { "x-forwarded-for": forwarded } })).body;
  const bodies = await Promise.all(
    ["203.0.113.7", "203.0.113.7, garbage", "203.0.113.7:80", "10.0.0.1,2001:db8::1", "fe80::1%x"].map(clientOf),
  );
  assert.deepEqual(bodies, ["a 203.0.113.7", "a 127.0.0.1", "a 127.0.0.1", "a 2001:db8::1", "a 127.0.0.1"]);
});

test("xffNumTrustedHops counts the trusted proxies whose addresses follow the client's", async () => {
  const clientAddressHeader = { header: { key: "x-sub", value: "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%" } };
  const routes = [{ match: { prefix: "/" }, route: { cluster: "a" }, requestHeadersToAdd: [clientAddressHeader] }];
  const bodies: string[] = [];
  for (const useRemoteAddress of [true, false]) {
    await using harness = await serving([], routes, { useRemoteAddress, xffNumTrustedHops: 1 });
    for (const forwarded of ["203.0.113.7, 203.0.113.8", "203.0.113.8"])
      bodies.push((await harness.get("/", { headers: { "x-forwarded-for": forwarded } })).body);
  }
  assert.deepEqual(bodies, ["a 203.0.113.8", "a 203.0.113.8", "a 203.0.113.7", "a 127.0.0.1"]);
});

test("unsupported filter state and gRPC statistics are reported by name", () => {
  const grpcStats = (config: JsonObject): JsonObject =>
    filter("envoy.filters.http.grpc_stats", "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig", config);
  const state = (...keys: readonly string[]): JsonObject =>
    filter("keep", "envoy.extensions.filters.http.set_filter_state.v3.Config", {
      onRequestHeaders: keys.map((objectKey) => ({
        objectKey,
        formatString: { textFormatSource: { inlineString: "x" } },
      })),
    });
  const notes: string[] = [];
  compile(
    {
      httpFilters: [
        grpcStats({ emitFilterState: true, statsForAllMethods: false }),
        state("io.istio.peer_principal", "envoy.filters.listener.original_dst.local_ip"),
      ],
    },
    notes,
  );
  assert.deepEqual(notes, []);
  compile({ httpFilters: [grpcStats({ statsForAllMethods: true, enableUpstreamStats: true }), state("mine")] }, notes);
  assert.deepEqual(notes, [
    "envoy.filters.http.grpc_stats: statsForAllMethods has no effect here",
    "envoy.filters.http.grpc_stats: enableUpstreamStats has no effect here",
    "set_filter_state: mine has no effect here",
  ]);
});

test("the router suppresses headers that describe its work, and its other fields without effect are reported", () => {
  const router = (config: JsonObject): JsonObject => ({
    httpFilters: [filter("envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router", config)],
  });
  const notes: string[] = [];
  assert.equal(compile(router({ startChildSpan: true }), notes).connection.hidesEnvoyHeaders, false);
  assert.equal(compile(router({ suppressEnvoyHeaders: true }), notes).connection.hidesEnvoyHeaders, true);
  assert.deepEqual(notes, []);
  compile(router({ strictCheckHeaders: ["x-envoy-max-retries"] }), notes);
  assert.deepEqual(notes, [
    "listener l: the HTTP filter envoy.filters.http.router: strictCheckHeaders has no effect here",
  ]);
});

test("an unknown filter that is disabled is accepted, and a route that enables it is refused", async () => {
  const notes: string[] = [];
  const off = {
    ...filter("envoy.filters.http.tap", unknown),
    disabled: true,
  };
  compile({ httpFilters: [off] }, notes);
  assert.deepEqual(notes, ["the disabled HTTP filter envoy.filters.http.tap has no effect here"]);
  const on = { "envoy.filters.http.tap": { "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig" } };
  await using harness = await serving(
    [off],
    [
      { match: { prefix: "/on" }, route: { cluster: "a" }, typedPerFilterConfig: on },
      { match: { prefix: "/" }, route: { cluster: "a" } },
    ],
  );
  const [plain, turned] = [await harness.get("/"), await harness.get("/on")];
  assert.deepEqual(
    [plain.status, turned.status, turned.body],
    [200, 500, "the HTTP filter envoy.filters.http.tap, which this route turns on, is not supported"],
  );
});

test("attributes of the environment need not be encoded", (context) => {
  process.env["OTEL_RESOURCE_ATTRIBUTES"] = "service.version=100%,service.namespace=a%20b";
  context.after(() => Reflect.deleteProperty(process.env, "OTEL_RESOURCE_ATTRIBUTES"));
  const typedConfig = {
    "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
    serviceName: "web",
    grpcService: { envoyGrpc: { clusterName: "collector" } },
    resourceDetectors: [{ name: "envoy.tracers.opentelemetry.resource_detectors.environment" }],
  };
  assert.notEqual(
    compile({ tracing: { provider: { name: "envoy.tracers.opentelemetry", typedConfig } } }).connection.tracing,
    undefined,
  );
});

test("the stand-in filter of an unsupported plugin is reported by name and refuses every request", async () => {
  const closed = filter("extensions.istio.io/trafficextension/shop.a", "envoy.extensions.filters.http.rbac.v3.RBAC", {
    rules: {},
  });
  const notes: string[] = [];
  compile({ httpFilters: [closed] }, notes);
  assert.deepEqual(notes, [
    "listener l: the HTTP filter extensions.istio.io/trafficextension/shop.a replaces a program that cannot run here: it refuses all requests, as set by failStrategy",
  ]);
  await using harness = await serving([closed], [{ match: { prefix: "/" }, route: { cluster: "a" } }]);
  assert.equal((await harness.get("/")).status, 403);
});

test("routes configure filters: the most specific level wins, and each level may disable a filter", async () => {
  const abort = (httpStatus: number): JsonObject => ({
    "envoy.filters.http.fault": { "@type": `type.googleapis.com/${fault}`, abort: { httpStatus, percentage: all } },
  });
  const off = {
    "envoy.filters.http.fault": { "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", disabled: true },
  };
  const routes = [
    { match: { path: "/own" }, route: { cluster: "a" }, typedPerFilterConfig: abort(418) },
    { match: { path: "/off" }, route: { cluster: "a" }, typedPerFilterConfig: off },
    { match: { prefix: "/" }, route: { cluster: "a" } },
  ];
  await using harness = await serving(
    [filter("envoy.filters.http.fault", fault, { abort: { httpStatus: 503, percentage: all } })],
    routes,
  );
  const answers = await Promise.all(["/own", "/off", "/"].map(async (path) => (await harness.get(path)).status));
  assert.deepEqual(answers, [418, 200, 503]);
  assert.deepEqual(harness.records.map(({ flag }) => flag).sort(), ["-", "FI", "FI"]);
});

let token: (claims: Record<string, unknown>) => Promise<string>;
let jwks = "";
before(async () => {
  const { publicKey, privateKey } = await generateKeyPair("ES256");
  const key: CryptoKey = privateKey;
  jwks = JSON.stringify({ keys: [await exportJWK(publicKey)] });
  token = async (claims) => await new SignJWT({ iss: "me", ...claims }).setProtectedHeader({ alg: "ES256" }).sign(key);
});

test("claims of a verified token can choose the route, reach the upstream, and satisfy access rules", async () => {
  const claim = (name: string, exact: string): JsonObject => ({
    filter: "envoy.filters.http.jwt_authn",
    path: [{ key: "payload" }, { key: name }],
    value: { stringMatch: { exact } },
  });
  const jwt = filter("envoy.filters.http.jwt_authn", "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication", {
    providers: {
      p: {
        issuer: "me",
        localJwks: { inlineString: jwks },
        payloadInMetadata: "payload",
        clearRouteCache: true,
        claimToHeaders: [{ headerName: "x-sub", claimName: "sub" }],
      },
    },
    rules: [
      {
        match: { prefix: "/" },
        requires: { requiresAny: { requirements: [{ providerName: "p" }, { allowMissing: {} }] } },
      },
    ],
  });
  const rbac = filter("envoy.filters.http.rbac", "envoy.extensions.filters.http.rbac.v3.RBAC", {
    rules: {
      action: "DENY",
      policies: {
        nobody: {
          permissions: [{ urlPath: { path: { prefix: "/private" } } }],
          principals: [{ notId: { metadata: claim("sub", "joe") } }],
        },
      },
    },
  });
  const routes = [
    { match: { prefix: "/", dynamicMetadata: [claim("group", "beta")] }, route: { cluster: "b" } },
    { match: { prefix: "/" }, route: { cluster: "a" } },
  ];
  await using harness = await serving([jwt, rbac], routes);
  const as = async (path: string, claims?: Record<string, unknown>): Promise<string> => {
    const answer = await harness.get(
      path,
      claims === undefined ? {} : { headers: { authorization: `Bearer ${await token(claims)}` } },
    );
    return `${answer.status} ${answer.body}`;
  };
  assert.equal(await as("/"), "200 a ");
  assert.equal(await as("/", { sub: "joe", group: "beta" }), "200 b joe");
  assert.equal(await as("/private", { sub: "joe" }), "200 a joe");
  assert.equal(await as("/private"), "403 RBAC: access denied");
  assert.equal(await as("/", { sub: "joe", exp: 1 }), "401 Jwt is expired");
});

test("a body that arrives while a filter waits reaches the upstream whole", async () => {
  const delay = filter("envoy.filters.http.fault", fault, { delay: { fixedDelay: "0.05s", percentage: all } });
  await using harness = await serving([delay], [{ match: { prefix: "/" }, route: { cluster: "echo" } }]);
  const echo = await harness.backend((request, response) => void request.pipe(response));
  harness.cluster("echo", [echo.port]);
  const body = "x".repeat(300_000);
  const answer = await harness.get("/", { method: "POST", body });
  assert.deepEqual([answer.status, answer.body.length], [200, body.length]);
  const client = harness.client();
  client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  await once(client.socket, "ready");
  client.socket.destroy();
});

test("header values may refer to connection, request and response", async () => {
  const value = (key: string, text: string): JsonObject => ({ header: { key, value: text } });
  const routes = [
    {
      name: "home",
      match: { prefix: "/" },
      route: { cluster: "a" },
      requestHeadersToAdd: [
        value(
          "x-sub",
          "%REQ(:METHOD)% %REQ(x-none?x-some):3% %PROTOCOL% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% 100%%",
        ),
      ],
      responseHeadersToAdd: [
        value("x-told", "%REQ(x-some)% %RESPONSE_CODE% %UPSTREAM_CLUSTER% %ROUTE_NAME%"),
        value("x-none", "%REQ(x-none)%"),
      ],
    },
  ];
  await using harness = await serving([], routes);
  const answer = await harness.get("/", { headers: { "x-some": "value" } });
  assert.equal(answer.body, "a GET val HTTP/1.1 127.0.0.1 100%");
  assert.equal(answer.headers["x-told"], "value 200 a home");
  assert.equal(answer.headers["x-none"], undefined);
});

test("the proxy's own answers have the format that the listener configures", async () => {
  const localReplyConfig = {
    mappers: [
      {
        filter: { statusCodeFilter: { comparison: { op: "EQ", value: { defaultValue: 404, runtimeKey: "k" } } } },
        statusCode: 410,
        body: { inlineString: "gone" },
        bodyFormatOverride: { jsonFormat: { status: "%RESPONSE_CODE%", message: "%LOCAL_REPLY_BODY%" } },
        headersToAdd: [{ header: { key: "x-shaped", value: "yes" } }],
      },
    ],
  };
  await using harness = await serving([], [], { localReplyConfig });
  const answer = await harness.get("/");
  assert.deepEqual(
    [answer.status, answer.headers["content-type"], answer.headers["x-shaped"]],
    [410, "application/json", "yes"],
  );
  assert.deepEqual(JSON.parse(answer.body), { status: 410, message: "gone" });
});
