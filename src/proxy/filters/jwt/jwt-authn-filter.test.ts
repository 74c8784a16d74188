import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { fromJson, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { exportJWK, generateKeyPair, SignJWT, type JWK } from "jose";
import { systemClock } from "../../../base/index.ts";
import {
  envoyRegistry,
  ExtAuthzSchema,
  JwtAuthenticationSchema,
  JwtPerRouteConfigSchema,
} from "../../../wire/envoy/index.ts";
import { defaultHeadLimits, MessageHead, scanRequestHead } from "../../../wire/http1/index.ts";
import { ConfigNotes } from "../../config/config-check.ts";
import { compileExtAuthz } from "../../config/filters/ext-authz-config.ts";
import { compileJwtAuthn, compileJwtPerRoute } from "../../config/filters/jwt-authn-config.ts";
import { testRequest, type TestRequest } from "../../testing/filter-request.ts";
import { forwardTo, Harness, route, tableOf } from "../../testing/harness.ts";
import { clusterCaller } from "../../upstream/cluster-call.ts";
import type { ClusterRequest } from "../../terms/call-cluster.ts";
import { ExtAuthzFilter } from "../authorization/ext-authz-filter.ts";
import { standaloneServices, type FilterServices } from "../filter-services.ts";
import type { LocalReply } from "../http-filter.ts";
import { JwtAuthnFilter, JwtRouteSettings } from "./jwt-authn-filter.ts";

const nowSeconds = 1_800_000_000;
const clock = { ...systemClock, nowMs: () => nowSeconds * 1000 };

interface Signer {
  readonly jwk: JWK;
  sign(claims: Record<string, unknown>): Promise<string>;
}

async function signer(algorithm: string, kid?: string): Promise<Signer> {
  const { publicKey, privateKey } = await generateKeyPair(algorithm);
  const named = kid === undefined ? {} : { kid };
  return {
    jwk: { ...(await exportJWK(publicKey)), ...named },
    sign: async (claims) =>
      await new SignJWT({ iss: "https://issuer.test", sub: "joe", exp: nowSeconds + 600, ...claims })
        .setProtectedHeader({ alg: algorithm, ...named })
        .sign(privateKey),
  };
}

let rsa: Signer;
let curve: Signer;
let stranger: Signer;
before(async () => {
  [rsa, curve, stranger] = await Promise.all([signer("RS256", "one"), signer("ES256"), signer("RS256", "one")]);
});

const keySet = (...keys: readonly JWK[]): string => JSON.stringify({ keys });
const everywhere = { match: { prefix: "/" } };

function filterFor(
  provider: JsonObject,
  options: {
    readonly requires?: JsonValue;
    readonly more?: JsonObject;
    readonly providers?: JsonObject;
    readonly services?: Partial<FilterServices>;
  } = {},
): JwtAuthnFilter {
  const services = { ...standaloneServices(), clock, ...options.services };
  const keys = "remoteJwks" in provider ? {} : { localJwks: { inlineString: keySet(rsa.jwk, curve.jwk) } };
  const config: JsonObject = {
    providers: {
      p: { issuer: "https://issuer.test", payloadInMetadata: "payload", ...keys, ...provider },
      ...options.providers,
    },
    rules: [{ ...everywhere, requires: options.requires ?? { providerName: "p" } }],
    ...options.more,
  };
  const message = fromJson(JwtAuthenticationSchema, config, { registry: envoyRegistry() });
  return new JwtAuthnFilter(
    "envoy.filters.http.jwt_authn",
    compileJwtAuthn(message, "test", new ConfigNotes(() => undefined, services)),
    services.statistics,
    "http.in.",
  );
}

const bearer = (token: string): TestRequest => testRequest("/a?b=1", { headers: { authorization: `Bearer ${token}` } });
const describeReply = (reply: LocalReply | undefined): string =>
  reply === undefined ? "passes" : `${reply.status} ${reply.body.toString()}`;
const resultOf = async (filter: JwtAuthnFilter, request: TestRequest): Promise<string> =>
  describeReply(await filter.onRequest(request));

test("a valid token passes, later filters get its claims, and it is removed unless it must be forwarded", async () => {
  const request = bearer(await rsa.sign({ scope: "read write", aud: ["a"] }));
  assert.equal(
    await resultOf(filterFor({ normalizePayloadInMetadata: { spaceDelimitedClaims: ["scope"] } }), request),
    "passes",
  );
  const { payload } = request.metadata.get("envoy.filters.http.jwt_authn") as { payload: Record<string, unknown> };
  assert.deepEqual([payload["sub"], payload["scope"]], ["joe", ["read", "write"]]);
  assert.equal(request.fields.has("authorization"), false);
  const kept = bearer(await curve.sign({}));
  assert.equal(await resultOf(filterFor({ forward: true }), kept), "passes");
  assert.equal(kept.fields.has("authorization"), true);
});

describe("refused", () => {
  const rows: readonly (readonly [
    fact: string,
    token: () => Promise<string> | string,
    provider: JsonObject,
    answer: string,
  ])[] = [
    ["expired, beyond the skew of clocks", () => rsa.sign({ exp: nowSeconds - 61 }), {}, "401 Jwt is expired"],
    ["expired within it passes", () => rsa.sign({ exp: nowSeconds - 59 }), {}, "passes"],
    ["not yet valid", () => rsa.sign({ nbf: nowSeconds + 61 }), {}, "401 Jwt not yet valid"],
    ["another issuer", () => rsa.sign({ iss: "https://other.test" }), {}, "401 Jwt issuer is not configured"],
    ["another audience", () => rsa.sign({ aud: "b" }), { audiences: ["a"] }, "403 Audiences in Jwt are not allowed"],
    [
      "an audience, whatever its scheme and last slash",
      () => rsa.sign({ aud: ["x", "https://a.test/"] }),
      { audiences: ["http://a.test"] },
      "passes",
    ],
    [
      "no expiration where one is required",
      () => rsa.sign({ exp: undefined }),
      { requireExpiration: true },
      "401 Jwt has no expiration",
    ],
    [
      "an end too far away",
      () => rsa.sign({ exp: nowSeconds + 3601 }),
      { maxLifetime: "3600s" },
      "401 Jwt lifetime is too long",
    ],
    [
      "an end that is near enough by now passes, whenever it was issued",
      () => rsa.sign({ iat: nowSeconds - 86_400, exp: nowSeconds + 3599 }),
      { maxLifetime: "3600s" },
      "passes",
    ],
    [
      "no end where it must be near",
      () => rsa.sign({ exp: undefined }),
      { maxLifetime: "3600s" },
      "401 Jwt lifetime is too long",
    ],
    ["another key under the same name", () => stranger.sign({}), {}, "401 Jwt verification fails"],
    [
      "an unknown key",
      async () => (await signer("RS256", "two")).sign({}),
      {},
      "401 Jwks doesn't have key to match kid or alg from Jwt",
    ],
    [
      "two sections",
      () => "a.b",
      {},
      "401 Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections",
    ],
    [
      "without a signature",
      async () => `${Buffer.from('{"alg":"none"}').toString("base64url")}.${(await rsa.sign({})).split(".")[1] ?? ""}.`,
      {},
      "401 Jwks doesn't have key to match kid or alg from Jwt",
    ],
    ["an end that is no time", () => rsa.sign({ exp: "2100-01-01" }), {}, "401 Jwt payload is an invalid JSON"],
    [
      "keys that cannot be read",
      () => rsa.sign({}),
      { localJwks: { inlineString: "not yet" } },
      "401 Jwks remote fetch is failed",
    ],
  ];
  for (const [fact, token, provider, answer] of rows) {
    test(fact, async () => {
      assert.equal(await resultOf(filterFor(provider), bearer(await token())), answer);
    });
  }
  test("a missing and a bad token each get the matching www-authenticate header", async () => {
    const missing = await filterFor({}).onRequest(testRequest("/a"));
    assert.deepEqual(
      [missing?.status, missing?.headers, missing?.details],
      [401, [["www-authenticate", 'Bearer realm="http://a.test/a"']], "jwt_authn_access_denied{Jwt_is_missing}"],
    );
    const bad = await filterFor({}).onRequest(bearer("x.y.z"));
    assert.match(bad?.headers[0]?.[1] ?? "", /, error="invalid_token"$/);
  });
});

test("a client's own headers under the names of claims are removed, with and without a token", async () => {
  const provider = {
    claimToHeaders: [{ headerName: "x-jwt-group", claimName: "group" }],
    forwardPayloadHeader: "x-jwt-payload",
  };
  const filter = filterFor(provider, { requires: { allowMissing: {} } });
  const forged = { "x-jwt-group": "admin", "x-jwt-payload": "forged", "x-other": "kept" };
  const without = testRequest("/", { headers: forged });
  assert.equal(await resultOf(filter, without), "passes");
  assert.deepEqual([...without.fields], [["x-other", "kept"]]);
  const claimless = testRequest("/", { headers: { ...forged, authorization: `Bearer ${await rsa.sign({})}` } });
  assert.equal(await resultOf(filter, claimless), "passes");
  assert.equal(claimless.fields.has("x-jwt-group"), false);
  const member = testRequest("/", {
    headers: { ...forged, authorization: `Bearer ${await rsa.sign({ group: "clerks" })}` },
  });
  assert.equal(await resultOf(filter, member), "passes");
  assert.equal(member.fields.get("x-jwt-group"), "clerks");
});

test("claims of unverified tokens are removed where no token is required", async () => {
  const provider = {
    claimToHeaders: [{ headerName: "x-jwt-group", claimName: "group" }],
    forwardPayloadHeader: "x-jwt-payload",
  };
  const filter = filterFor(provider, {
    more: { rules: [{ match: { prefix: "/a" }, requires: { providerName: "p" } }], bypassCorsPreflight: true },
  });
  const forged = { "x-jwt-group": "admin", "x-jwt-payload": "forged" };
  const off = new Map([["envoy.filters.http.jwt_authn", new JwtRouteSettings(undefined)]]);
  const preflight = { ...forged, origin: "https://a.test", "access-control-request-method": "GET" };
  for (const request of [
    testRequest("/b", { headers: forged }),
    testRequest("/a", { headers: forged, filterConfigs: off }),
    testRequest("/a", { method: "OPTIONS", headers: preflight }),
  ]) {
    assert.equal(await resultOf(filter, request), "passes");
    assert.deepEqual([request.fields.has("x-jwt-group"), request.fields.has("x-jwt-payload")], [false, false]);
  }
});

test("a token in the query is removed unless it should be forwarded, and the rest of the target stays unchanged", async () => {
  const token = await rsa.sign({});
  const targetAfter = async (target: string, provider: JsonObject): Promise<string> => {
    const bytes = Buffer.from(`GET ${target} HTTP/1.1\r\nhost: a.test\r\n\r\n`);
    const head = new MessageHead();
    assert.ok(scanRequestHead(head, bytes, 0, bytes.length, defaultHeadLimits) > 0);
    const request = { ...testRequest(target), head };
    assert.equal(describeReply(await filterFor(provider).onRequest(request)), "passes");
    return request.header(":path") ?? head.target();
  };
  assert.equal(await targetAfter(`/a%20b?x=%41+1&access_token=${token}&y`, {}), "/a%20b?x=%41+1&y");
  assert.equal(await targetAfter(`http://b.test/?t=${token}`, { fromParams: ["t"] }), "http://b.test/");
  assert.equal(await targetAfter(`/?t=${token}`, { fromParams: ["t"], forward: true }), `/?t=${token}`);
});

test("the upstream and an authorization service do not see a token that was removed from the query", async () => {
  const harnesses: Harness[] = [];
  const services = {
    ...standaloneServices(),
    callCluster: clusterCaller((cluster) => harnesses[0]?.clusters.get(cluster)),
  };
  const authzConfig = fromJson(ExtAuthzSchema, {
    transportApiVersion: "V3",
    httpService: { serverUri: { uri: "http://authz.test", cluster: "authz", timeout: "2s" } },
    allowedHeaders: { patterns: [{ safeRegex: { regex: ".*" } }] },
  });
  const filters = [
    filterFor({}),
    new ExtAuthzFilter(
      "envoy.filters.http.ext_authz",
      compileExtAuthz(authzConfig, "test", new ConfigNotes(() => undefined, services)),
      services.statistics,
      "http.in.",
    ),
  ];
  await using harness = await Harness.start({ filters, filtersIdle: false });
  harnesses.push(harness);
  const tokens: (string | undefined)[] = [];
  const authz = await harness.backend((request, response) => {
    tokens.push(
      `asked ${request.url ?? ""} ${Object.keys(request.headers)
        .filter((name) => name.includes("path"))
        .join(" ")}`,
    );
    response.end();
  });
  const app = await harness.backend((request, response) => {
    tokens.push(`served ${request.url ?? ""} of ${request.headers.host ?? ""}`);
    response.end();
  });
  harness.cluster("authz", [authz.port]);
  harness.cluster("app", [app.port]);
  harness.table = tableOf(route(forwardTo("app")));
  assert.equal(
    (await harness.get(`/a?access_token=${await rsa.sign({})}&b=1`, { headers: { host: "a.test" } })).status,
    200,
  );
  assert.deepEqual(tokens, ["asked /a?b=1 ", "served /a?b=1 of a.test"]);
  for (const cluster of harness.clusters.values()) cluster.drain();
});

test("a route that neither turns the filter off nor names a requirement is refused", () => {
  const compile = (config: JsonObject): JwtRouteSettings =>
    compileJwtPerRoute(fromJson(JwtPerRouteConfigSchema, config), "test", new ConfigNotes(() => undefined));
  assert.equal(compile({ disabled: true }).requirementName, undefined);
  assert.equal(compile({ requirementName: "r" }).requirementName, "r");
  for (const bad of [{}, { disabled: false }, { requirementName: "" }])
    assert.throws(() => compile(bad), /either disabled must be true, or requirementName must name a requirement/);
});

test("tokens are found in headers with their prefixes, in the query and in cookies, where the provider says", async () => {
  const token = await rsa.sign({});
  const placed = filterFor({
    fromHeaders: [{ name: "X-Token", valuePrefix: "jwt " }],
    fromParams: ["t"],
    fromCookies: ["session"],
  });
  assert.equal(await resultOf(placed, testRequest("/", { headers: { "x-token": `jwt ${token}` } })), "passes");
  assert.equal(await resultOf(placed, testRequest(`/?a=b&t=${token}`)), "passes");
  assert.match(await resultOf(placed, testRequest(`/?t=${token}&t=other`)), /^401 Jwt is not in the form/);
  assert.equal(await resultOf(placed, testRequest("/", { headers: { cookie: `a=b; session=${token}` } })), "passes");
  assert.equal(await resultOf(placed, bearer(token)), "401 Jwt is missing");
  assert.equal(await resultOf(filterFor({}), testRequest(`/?access_token=${token}`)), "passes");
  assert.equal(
    await resultOf(placed, testRequest(`/?t=${token}`, { headers: { "x-token": "jwt bad" } })).then((answer) =>
      answer.slice(0, 3),
    ),
    "401",
    "one bad token beside a good one",
  );
});

test("a token without a key's name is tried with a bounded number of keys, and one with a name with its own", async () => {
  const unnamed = await signer("RS256");
  const other: JWK = { ...stranger.jwk };
  delete other.kid;
  const withKeys = (...keys: JWK[]): JwtAuthnFilter => filterFor({ localJwks: { inlineString: keySet(...keys) } });
  const many = Array.from({ length: 255 }, () => other);
  const token = await unnamed.sign({});
  assert.equal(await resultOf(withKeys(...many, unnamed.jwk), bearer(token)), "passes");
  assert.equal(await resultOf(withKeys(...many, other, unnamed.jwk), bearer(token)), "401 Jwt verification fails");
  assert.equal(await resultOf(withKeys(...many, other, rsa.jwk), bearer(await rsa.sign({}))), "passes");
});

describe("requirements", () => {
  // Istio's own requirement: a token may be missing, but a token that is present must be valid.
  const optional = { requiresAny: { requirements: [{ providerName: "p" }, { allowMissing: {} }] } };
  test("may be missing, but not be bad", async () => {
    const filter = filterFor({}, { requires: optional });
    assert.equal(await resultOf(filter, testRequest("/")), "passes");
    assert.equal(await resultOf(filter, bearer(await rsa.sign({ exp: 1 }))), "401 Jwt is expired");
    assert.equal(await resultOf(filter, bearer(await rsa.sign({ iss: "x" }))), "401 Jwt issuer is not configured");
    assert.equal(await resultOf(filterFor({}, { requires: { allowMissingOrFailed: {} } }), bearer("x.y.z")), "passes");
  });
  test("with several issuers, a token is verified with the keys of its own issuer", async () => {
    const other = { q: { issuer: "https://q.test", localJwks: { inlineString: keySet(stranger.jwk) } } };
    const each = ["p", "q"].map((name) => ({
      requiresAny: { requirements: [{ providerName: name }, { allowMissing: {} }] },
    }));
    const filter = filterFor(
      {},
      {
        requires: { requiresAny: { requirements: [{ requiresAll: { requirements: each } }, { allowMissing: {} }] } },
        providers: other,
      },
    );
    assert.equal(await resultOf(filter, bearer(await stranger.sign({ iss: "https://q.test" }))), "passes");
    assert.equal(await resultOf(filter, bearer(await rsa.sign({}))), "passes");
    assert.equal(await resultOf(filter, bearer(await stranger.sign({}))), "401 Jwt verification fails");
    assert.equal(await resultOf(filter, testRequest("/")), "passes");
  });
  test("apply to the requests of the first matching rule, and a route disables them", async () => {
    const rules = [{ match: { path: "/health" } }, { match: { prefix: "/a" }, requires: { providerName: "p" } }];
    const filter = filterFor({}, { more: { rules } });
    assert.deepEqual(
      [
        await resultOf(filter, testRequest("/health")),
        await resultOf(filter, testRequest("/b")),
        await resultOf(filter, testRequest("/a")),
      ],
      ["passes", "passes", "401 Jwt is missing"],
    );
    const off = new Map([["envoy.filters.http.jwt_authn", new JwtRouteSettings(undefined)]]);
    assert.equal(await resultOf(filter, testRequest("/a", { filterConfigs: off })), "passes");
  });
});

test("claims and payload become headers, and the route is chosen anew if the provider says so", async () => {
  const provider = {
    claimToHeaders: [
      { headerName: "X-Sub", claimName: "sub" },
      { headerName: "x-org", claimName: "org.name" },
      { headerName: "x-evil", claimName: "evil" },
      { headerName: "x-name", claimName: "name" },
      { headerName: "x-list", claimName: "list" },
      { headerName: "x-none", claimName: "none" },
    ],
    forwardPayloadHeader: "x-payload",
    clearRouteCache: true,
  };
  const request = bearer(
    await rsa.sign({
      org: { name: "acme" },
      evil: "a\r\nhost: b",
      name: "é\u010d\u010ahost: b",
      list: ["a?>"],
      none: "",
    }),
  );
  request.fields.set("x-sub", "forged");
  assert.equal(await resultOf(filterFor(provider), request), "passes");
  assert.deepEqual(
    [request.fields.get("x-sub"), request.fields.get("x-org"), request.fields.has("x-evil"), request.routesChosen],
    ["joe", "acme", false, 1],
  );
  assert.equal(
    Buffer.from(request.fields.get("x-name") ?? "", "latin1").toString(),
    "é\u010d\u010ahost: b",
    "a byte a character, none of which ends the line",
  );
  assert.deepEqual(
    [request.fields.get("x-list"), request.fields.has("x-none")],
    [Buffer.from('["a?>"]').toString("base64"), false],
    "base64 as Envoy writes it, not that of URLs",
  );
  assert.equal(JSON.parse(Buffer.from(request.fields.get("x-payload") ?? "", "base64url").toString()).sub, "joe");
});

test("keys are fetched once through their cluster, again when they are too old, and a failure is reported", async () => {
  const calls: ClusterRequest[] = [];
  let steadyMs = 0;
  let status = 200;
  const services: Partial<FilterServices> = {
    clock: { ...clock, steadyMs: () => steadyMs },
    callCluster: (request) => {
      calls.push(request);
      return Promise.resolve({ status, headers: [], body: Buffer.from(keySet(rsa.jwk)) });
    },
  };
  const filter = filterFor(
    {
      remoteJwks: {
        httpUri: { uri: "https://keys.test:8443/jwks?x=1", cluster: "outbound|8443||keys.test", timeout: "5s" },
        cacheDuration: "300s",
      },
    },
    { services },
  );
  const token = await rsa.sign({});
  assert.deepEqual(await Promise.all([resultOf(filter, bearer(token)), resultOf(filter, bearer(token))]), [
    "passes",
    "passes",
  ]);
  assert.deepEqual(
    calls.map(({ cluster, path, authority }) => [cluster, path, authority]),
    [["outbound|8443||keys.test", "/jwks?x=1", "keys.test:8443"]],
  );
  steadyMs = 300_001;
  status = 503;
  assert.equal(await resultOf(filter, bearer(token)), "401 Jwks remote fetch is failed");
  steadyMs += 1001;
  status = 200;
  assert.equal(await resultOf(filter, bearer(token)), "passes");
  assert.equal(calls.length, 3);
});
