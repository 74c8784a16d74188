import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import {
  array,
  assert as fcAssert,
  boolean,
  constantFrom,
  pre,
  property,
  record,
  uniqueArray,
  type Arbitrary,
} from "fast-check";
import { isMessage, toJson, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import type { KubernetesObject } from "../../../api/index.ts";
import { authorizationPolicyKind } from "../../../api/istio/index.ts";
import {
  envoyRegistry,
  HttpRbacSchema,
  NetworkRbacSchema,
  RBAC_Action,
  type HttpRbac,
  type RBAC,
} from "../../../wire/envoy/index.ts";
import type { PolicySubject } from "../../model/authorization-selection.ts";
import { meshKey, type GatewayFacts, type MeshSettings, type PodFacts } from "../../model/facts.ts";
import { valueAt } from "../../testing/decode-resource.ts";
import { rbacAllows, type PolicyRequest } from "../../testing/rbac-decision.ts";
import { config, createModelFixture, pod, service, testMesh } from "../../testing/model-fixture.ts";
import type { FilterInit } from "../filter-init.ts";
import { gatewaySubject } from "../gateway/gateway-api-listeners.ts";
import { SecurityPolicies } from "./security-filters.ts";

type Decoded = NonNullable<ReturnType<typeof anyUnpack>>;

interface NamedConfig {
  readonly name: string;
  readonly message: Decoded;
}

function filtersOf(
  objects: readonly KubernetesObject[],
  mesh: Partial<MeshSettings> = {},
  subjectOf: (pod: PodFacts, mesh: MeshSettings) => PolicySubject = (facts) => facts,
): { readonly http: readonly NamedConfig[]; readonly tcp: readonly NamedConfig[] } {
  const fixture = createModelFixture();
  const policies = new SecurityPolicies(fixture.inputs);
  const found = fixture.graph.derive("filters", fixture.inputs.pods, (facts, reader) => {
    const settings = reader.get(fixture.inputs.mesh, meshKey);
    return settings === undefined ? [] : [["web", policies.filtersFor(subjectOf(facts, settings), settings, reader)]];
  });
  fixture.inputs.mesh.set(meshKey, { ...testMesh, ...mesh });
  fixture.apply(pod("shop/web", "10.0.0.1", { labels: { app: "web" } }), ...objects);
  const { http = [], tcp = [] } = found.get("web") ?? {};
  return { http: http.map(decoded), tcp: tcp.map(decoded) };
}

function decoded({ name, configType }: FilterInit): NamedConfig {
  const message =
    anyUnpack(configType.value, envoyRegistry()) ?? assert.fail(`${configType.value.typeUrl} is not known`);
  return { name, message };
}

function rbacOf({ message }: NamedConfig): HttpRbac | undefined {
  return isMessage(message, HttpRbacSchema) || isMessage(message, NetworkRbacSchema)
    ? (message as HttpRbac)
    : undefined;
}

function jsonOf(filter: NamedConfig | undefined): JsonValue | undefined {
  if (filter === undefined) return undefined;
  const schema = envoyRegistry().getMessage(filter.message.$typeName) ?? assert.fail();
  return toJson(schema, filter.message, { registry: envoyRegistry() });
}

const policy = (name: string, spec: object, metadata: object = {}): KubernetesObject =>
  config("AuthorizationPolicy", `shop/${name}`, spec, metadata);
const rulesOf = (filters: readonly NamedConfig[]): readonly unknown[] =>
  filters.map((filter) => [
    filter.name.split(".").at(-1),
    RBAC_Action[rbacOf(filter)?.rules?.action ?? RBAC_Action.ALLOW],
    Object.keys(rbacOf(filter)?.rules?.policies ?? {}),
  ]);
const enforced = (filters: readonly NamedConfig[]): readonly (RBAC | undefined)[] =>
  filters.map((filter) => rbacOf(filter)?.rules);

/** Small sets of values, so that rules often match requests. */
const sourceValues = {
  principals: ["*", "cluster.local/ns/a/sa/x", "*/sa/x", "cluster.local/ns/a/*"],
  namespaces: ["a", "b", "*"],
  serviceAccounts: ["a/x", "x"],
  ipBlocks: ["10.0.0.0/24", "10.0.1.5"],
  requestPrincipals: ["*", "issuer/one", "issuer/*", "*/one"],
} as const;
const operationValues = {
  methods: ["GET", "POST", "*"],
  paths: ["/a", "/a/*", "*/z", "*"],
  hosts: ["Shop.example", "*.example", "other*"],
  ports: ["80", "81"],
} as const;
const conditionValues = {
  "request.headers[x]": ["1", "*"],
  "request.auth.claims[group]": ["dev", "o*"],
  "source.ip": ["10.0.0.0/24"],
} as const;

type Fields = Readonly<Record<string, readonly string[]>>;

function fields(values: Fields): Arbitrary<Record<string, string[]>> {
  const names = Object.keys(values).flatMap((name) => [name, `not${(name[0] ?? "").toUpperCase()}${name.slice(1)}`]);
  const valuesOf = (name: string): readonly string[] =>
    values[name] ?? values[`${(name[3] ?? "").toLowerCase()}${name.slice(4)}`] ?? [];
  return uniqueArray(constantFrom(...names), { minLength: 1, maxLength: 3 }).chain((chosen) =>
    record(
      Object.fromEntries(
        chosen.map((name) => [name, uniqueArray(constantFrom(...valuesOf(name)), { minLength: 1, maxLength: 2 })]),
      ),
    ),
  );
}

interface Rule {
  readonly from?: readonly { readonly source: Fields }[];
  readonly to?: readonly { readonly operation: Fields }[];
  readonly when?: readonly {
    readonly key: string;
    readonly values?: readonly string[];
    readonly notValues?: readonly string[];
  }[];
}

const rule: Arbitrary<Rule> = record(
  {
    from: array(
      fields(sourceValues).map((source) => ({ source })),
      { minLength: 1, maxLength: 2 },
    ),
    to: array(
      fields(operationValues).map((operation) => ({ operation })),
      { minLength: 1, maxLength: 2 },
    ),
    when: array(
      constantFrom(...Object.entries(conditionValues)).chain(([key, values]) =>
        constantFrom("values", "notValues").map((field) => ({ key, [field]: [...values].slice(0, 1) })),
      ),
      { maxLength: 2 },
    ),
  },
  { requiredKeys: [] },
);

const requests: readonly PolicyRequest[] = [undefined, "a/sa/x", "a/sa/y", "b/sa/x"].flatMap((peer) =>
  ["GET", "POST"].flatMap((method) =>
    ["/a", "/a/z", "/b"].flatMap((path) =>
      ["shop.example", "other"].flatMap((host) =>
        [80, 81].flatMap((port) =>
          ["10.0.0.7", "10.0.1.5"].flatMap((address) =>
            [undefined, { iss: "issuer", sub: "one", group: ["ops", "dev"] }].map((claims) => ({
              method,
              path,
              host,
              port,
              address,
              headers: claims === undefined ? {} : { x: "1" },
              ...(peer === undefined ? {} : { peer: `spiffe://cluster.local/ns/${peer}` }),
              ...(claims === undefined ? {} : { claims }),
            })),
          ),
        ),
      ),
    ),
  ),
);

const patternHolds = (pattern: string, text: string): boolean =>
  pattern === "*"
    ? text !== ""
    : pattern.startsWith("*")
      ? text.endsWith(pattern.slice(1))
      : pattern.endsWith("*")
        ? text.startsWith(pattern.slice(0, -1))
        : pattern === text;
const addressHolds = (block: string, address: string): boolean =>
  block.endsWith("/24") ? address.startsWith(block.slice(0, block.lastIndexOf(".") + 1)) : address === block;

/** Whether a value of a field matches the request, by Istio's reference documentation. */
function valueHolds(field: string, value: string, request: PolicyRequest): boolean {
  const principal = request.peer?.slice("spiffe://".length) ?? "";
  const [, , namespace = "", , account = ""] = principal.split("/");
  switch (field) {
    case "principals":
      return patternHolds(value, principal);
    case "namespaces":
      return principal !== "" && patternHolds(value, namespace);
    case "serviceAccounts":
      return principal !== "" && (value.includes("/") ? value : `shop/${value}`) === `${namespace}/${account}`;
    case "ipBlocks":
    case "source.ip":
      return addressHolds(value, request.address);
    case "requestPrincipals":
      return (
        request.claims !== undefined &&
        patternHolds(value, `${request.claims["iss"] as string}/${request.claims["sub"] as string}`)
      );
    case "methods":
      return patternHolds(value, request.method);
    case "paths":
      return patternHolds(value, request.path);
    case "hosts":
      return patternHolds(value.toLowerCase(), request.host.toLowerCase());
    case "ports":
      return Number(value) === request.port;
    case "request.headers[x]":
      return request.headers["x"] !== undefined && patternHolds(value, request.headers["x"]);
    default:
      return [request.claims?.["group"] ?? []].flat().some((group) => patternHolds(value, group));
  }
}

function fieldsHold(part: Fields, request: PolicyRequest): boolean {
  return Object.entries(part).every(([name, values]) => {
    const negated = /^not[A-Z]/.test(name);
    const field = negated ? `${(name[3] ?? "").toLowerCase()}${name.slice(4)}` : name;
    return values.some((value) => valueHolds(field, value, request)) !== negated;
  });
}

function ruleHolds({ from = [], to = [], when = [] }: Rule, request: PolicyRequest): boolean {
  const conditions = when.every(
    ({ key, values = [], notValues = [] }) =>
      (values.length === 0 || values.some((value) => valueHolds(key, value, request))) &&
      !notValues.some((value) => valueHolds(key, value, request)),
  );
  return (
    (from.length === 0 || from.some(({ source }) => fieldsHold(source, request))) &&
    (to.length === 0 || to.some(({ operation }) => fieldsHold(operation, request))) &&
    conditions
  );
}

test("a matching DENY denies a request, and if ALLOW policies exist one must match", () => {
  fcAssert(
    property(array(rule, { maxLength: 2 }), array(rule, { maxLength: 2 }), boolean(), (denies, allows, hasAllow) => {
      const objects = [
        ...(denies.length > 0 ? [policy("deny", { action: "DENY", rules: denies })] : []),
        ...(hasAllow ? [policy("allow", { rules: allows })] : []),
      ];
      pre(objects.every((object) => authorizationPolicyKind.parse?.(object).value !== undefined));
      const filters = enforced(filtersOf(objects).http);
      for (const request of requests) {
        const expected =
          !denies.some((one) => ruleHolds(one, request)) &&
          (!hasAllow || allows.some((one) => ruleHolds(one, request)));
        assert.equal(rbacAllows(filters, request), expected, JSON.stringify(request));
      }
    }),
    { numRuns: 150, seed: 4 },
  );
});

test("on connections, a rule with HTTP-only conditions never allows, and denies at least the intended connections", () => {
  const http = { to: [{ operation: { methods: ["GET"] } }] };
  const both = { to: [{ operation: { methods: ["GET"], ports: ["81"] } }] };
  const { tcp } = filtersOf([
    policy("allow", { rules: [http, { to: [{ operation: { ports: ["80"] } }] }] }),
    policy("deny", { action: "DENY", rules: [both] }),
  ]);
  assert.deepEqual(rulesOf(tcp), [
    ["rbac", "DENY", ["ns[shop]-policy[deny]-rule[0]"]],
    ["rbac", "ALLOW", ["ns[shop]-policy[allow]-rule[1]"]],
  ]);
  const connection = { method: "", path: "", host: "", address: "10.0.0.7", headers: {} };
  const configs = enforced(tcp);
  assert.deepEqual(
    [80, 81, 82].map((port) => rbacAllows(configs, { ...connection, port })),
    [true, false, false],
  );
  assert.equal(valueAt(jsonOf(tcp[0]), "statPrefix"), "tcp.");
});

test("audits come first, a dry run only observes, and a policy without rules denies everything as ALLOW, or nothing as DENY", () => {
  const dryRun = { annotations: { "istio.io/dry-run": "true" } };
  const any = { rules: [{}] };
  const filters = filtersOf([
    policy("nobody", {}),
    policy("audit", { action: "AUDIT", ...any }),
    policy("trial", { action: "DENY", ...any }, dryRun),
    policy("nothing", { action: "DENY" }),
  ]).http;
  assert.deepEqual(rulesOf(filters), [
    ["rbac", "LOG", ["ns[shop]-policy[audit]-rule[0]"]],
    ["rbac", "DENY", ["ns[shop]-policy[nothing]-rule[0]"]],
    ["rbac", "ALLOW", ["ns[shop]-policy[nobody]-rule[0]"]],
  ]);
  const denies = filters[1];
  assert.deepEqual(Object.keys((denies === undefined ? undefined : rbacOf(denies))?.shadowRules?.policies ?? {}), [
    "ns[shop]-policy[trial]-rule[0]",
  ]);
  assert.equal(valueAt(jsonOf(denies), "shadowRulesStatPrefix"), "istio_dry_run_deny_");
  assert.equal(rbacAllows(enforced(filters), requests[0] ?? assert.fail()), false);
});

test("proxies of a Gateway obey policies with selectors, unless the control plane's settings exclude these", () => {
  const any = { action: "DENY", rules: [{}] };
  const objects = [
    config("AuthorizationPolicy", "istio-system/mesh", any),
    policy("own", { ...any, selector: { matchLabels: { app: "web" } } }),
    policy("gateway", { ...any, targetRefs: [{ group: "gateway.networking.k8s.io", kind: "Gateway", name: "edge" }] }),
  ];
  const appliedWith = (gatewaysIgnoreSelectors: boolean): readonly string[] => {
    const edge = config("Gateway", "shop/edge", {
      gatewayClassName: "istio",
      listeners: [],
    }) as unknown as GatewayFacts;
    const { http } = filtersOf(objects, { gatewaysIgnoreSelectors }, ({ namespace, labels }, mesh) =>
      gatewaySubject({ ...edge, name: "edge", namespace, labels }, mesh),
    );
    return (rulesOf(http) as [string, string, string[]][]).flatMap(([, , names]) =>
      names.map((name) => name.replaceAll(/-rule.*/g, "")),
    );
  };
  assert.deepEqual(appliedWith(false), [
    "ns[istio-system]-policy[mesh]",
    "ns[shop]-policy[gateway]",
    "ns[shop]-policy[own]",
  ]);
  assert.deepEqual(appliedWith(true), ["ns[shop]-policy[gateway]"]);
});

test("policies apply to their mesh, namespace or workload; those with targets and those of other namespaces do not apply to a sidecar", () => {
  const any = { action: "DENY", rules: [{}] };
  const objects = [
    config("AuthorizationPolicy", "istio-system/mesh", any),
    policy("namespace", any),
    policy("own", { ...any, selector: { matchLabels: { app: "web" } } }),
    policy("others", { ...any, selector: { matchLabels: { app: "db" } } }),
    policy("gateway", { ...any, targetRefs: [{ group: "gateway.networking.k8s.io", kind: "Gateway", name: "edge" }] }),
    config("AuthorizationPolicy", "elsewhere/all", any),
  ];
  assert.deepEqual(rulesOf(filtersOf(objects).http), [
    [
      "rbac",
      "DENY",
      ["istio-system/mesh", "shop/namespace", "shop/own"].map(
        (key) => `ns[${key.split("/")[0]}]-policy[${key.split("/")[1]}]-rule[0]`,
      ),
    ],
  ]);
});

test("an entry of another namespace takes no host from the root namespace's provider, nor does one that is not exported", () => {
  const provider = (service: string): MeshSettings["extensionProviders"] => [
    {
      kind: "authorization-grpc",
      name: "grpc",
      settings: {
        service,
        port: 9000,
        timeoutMs: 1000,
        failOpen: false,
        clearRouteCache: false,
        includePeerCertificate: false,
      },
    },
  ];
  const entry = (key: string, exportTo: readonly string[] = []) =>
    config("ServiceEntry", key, {
      hosts: ["authz.corp.test"],
      exportTo,
      ports: [{ number: 9000, name: "grpc", protocol: "GRPC" }],
      resolution: "DNS",
    });
  const asks = (service: string, ...entries: ReturnType<typeof entry>[]): boolean => {
    const ask = policy("ask", { action: "CUSTOM", provider: { name: "grpc" }, rules: [{}] });
    const { http } = filtersOf([...entries, ask], { extensionProviders: provider(service) });
    return http.some(({ name }) => name === "envoy.filters.http.ext_authz");
  };
  assert.equal(asks("authz.corp.test", entry("istio-system/authz"), entry("evil/authz")), true);
  assert.equal(asks("authz.corp.test", entry("team/authz"), entry("evil/authz", ["."])), true);
  assert.equal(asks("authz.corp.test", entry("team/authz"), entry("other/authz")), false);
  assert.equal(asks("authz.corp.test", entry("team/authz", ["."])), true);
  assert.equal(asks("team/authz.corp.test", entry("team/authz", ["."]), entry("other/authz")), true);
});

test("a ServiceEntry of another namespace with the host of a provider's Service does not make the provider unavailable", () => {
  const host = "authz.ns.svc.cluster.local";
  const extensionProviders: MeshSettings["extensionProviders"] = [
    {
      kind: "authorization-grpc",
      name: "grpc",
      settings: {
        service: host,
        port: 9000,
        timeoutMs: 1000,
        failOpen: false,
        clearRouteCache: false,
        includePeerCertificate: false,
      },
    },
  ];
  const { http } = filtersOf(
    [
      service("ns/authz", "10.96.0.7", { app: "authz" }, [{ name: "grpc", port: 9000 }]),
      config("ServiceEntry", "evil/authz", {
        hosts: [host],
        ports: [{ number: 9000, name: "grpc", protocol: "GRPC" }],
        resolution: "STATIC",
        endpoints: [{ address: "9.9.9.9" }],
      }),
      policy("ask", { action: "CUSTOM", provider: { name: "grpc" }, rules: [{}] }),
    ],
    { extensionProviders },
  );
  assert.deepEqual(
    http.map(({ name }) => name),
    ["envoy.filters.http.rbac", "envoy.filters.http.ext_authz"],
  );
});

test("CUSTOM asks the provider about requests that match its rules, and denies them if the provider is unavailable", () => {
  const ask = (name: string): KubernetesObject =>
    policy("ask", { action: "CUSTOM", provider: { name }, rules: [{ to: [{ operation: { paths: ["/a"] } }] }] });
  const common = { service: "ns/authz.example", port: 9000, timeoutMs: 1000, failOpen: false, clearRouteCache: false };
  const extensionProviders: MeshSettings["extensionProviders"] = [
    { kind: "authorization-grpc", name: "grpc", settings: { ...common, includePeerCertificate: false } },
    {
      kind: "authorization-http",
      name: "http",
      settings: {
        ...common,
        pathPrefix: "/check",
        includeRequestHeadersInCheck: ["x-*"],
        includeAdditionalHeadersInCheck: {},
        headersToUpstreamOnAllow: ["x-user"],
        headersToDownstreamOnAllow: [],
        headersToDownstreamOnDeny: [],
      },
    },
  ];
  const entry = config("ServiceEntry", "ns/authz", {
    hosts: ["authz.example"],
    ports: [{ number: 9000, name: "grpc", protocol: "GRPC" }],
    resolution: "DNS",
  });
  const { http, tcp } = filtersOf([entry, ask("grpc")], { extensionProviders });
  assert.deepEqual(
    [...http, ...tcp].map((filter) => filter.name.replace("envoy.filters.", "")),
    ["http.rbac", "http.ext_authz", "network.rbac", "network.ext_authz"],
  );
  assert.deepEqual(Object.keys((valueAt(jsonOf(http[0]), "shadowRules", "policies") ?? {}) as JsonObject), [
    "istio-ext-authz-grpc-ns[shop]-policy[ask]-rule[0]",
  ]);
  const authorizer = jsonOf(http[1]);
  assert.deepEqual(valueAt(authorizer, "grpcService", "envoyGrpc"), {
    clusterName: "outbound|9000||authz.example",
    authority: "authz.example",
  });
  assert.deepEqual(valueAt(authorizer, "filterEnabledMetadata"), {
    filter: "envoy.filters.http.rbac",
    path: [{ key: "istio_ext_authz_shadow_effective_policy_id" }],
    value: { stringMatch: { prefix: "istio-ext-authz-grpc-" } },
  });
  assert.deepEqual(
    filtersOf([entry, ask("http")], { extensionProviders }).tcp,
    [],
    "an HTTP provider cannot be asked about connections",
  );
  const denied = (name: string) => [
    ["rbac", "DENY", [`istio-ext-authz-${name}-ns[shop]-policy[ask]-rule[0]-deny-due-to-bad-CUSTOM-action`]],
  ];
  assert.deepEqual(rulesOf(filtersOf([entry, ask("unknown")], { extensionProviders }).http), denied("unknown"));
  assert.deepEqual(
    rulesOf(filtersOf([ask("http")], { extensionProviders }).http),
    denied("http"),
    "there is no such service",
  );
});

test("a path template that no proxy takes becomes a regular expression", () => {
  const pathsOf = (path: string): JsonValue | undefined => {
    const [filter] = filtersOf([
      policy("deny", { action: "DENY", rules: [{ to: [{ operation: { paths: [path] } }] }] }),
    ]).http;
    const policies = valueAt(jsonOf(filter), "rules", "policies", "ns[shop]-policy[deny]-rule[0]");
    return valueAt(policies, "permissions", 0, "andRules", "rules", 0, "orRules", "rules", 0);
  };
  const regex = (text: string): JsonValue => ({ urlPath: { path: { safeRegex: { regex: text } } } });
  assert.equal(valueAt(pathsOf("/a/{*}"), "uriTemplate", "name"), "uri-template");
  assert.deepEqual(pathsOf("{*}"), regex("[^/]+"));
  assert.deepEqual(pathsOf("a.b/{**}"), regex(String.raw`a\.b/.*`));
  assert.deepEqual(pathsOf("//{*}"), regex("//[^/]+"));
  assert.deepEqual(pathsOf("/{**}//"), regex("/.*//"));
  // Envoy accepts templates of up to 256 characters.
  const long = "a".repeat(253);
  assert.equal(valueAt(pathsOf(`/${long}/{*}`), "uriTemplate", "name"), "uri-template");
  assert.deepEqual(pathsOf(`/a${long}/{*}`), regex(`/a${long}/[^/]+`));
});

const keySet = JSON.stringify({
  keys: [generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ format: "jwk" })],
});

test("proxies get no key set without a key that an Envoy can use, because it would reject the whole listener", () => {
  const { keys } = JSON.parse(keySet) as { readonly keys: readonly object[] };
  const sent = (jwks: string): unknown => {
    const rules = [{ issuer: "a", jwks }];
    const [filter] = filtersOf([config("RequestAuthentication", "shop/tokens", { jwtRules: rules })]).http;
    return valueAt(jsonOf(filter), "providers", "origins-0", "localJwks", "inlineString");
  };
  const keysSent = (jwks: string): unknown => valueAt(JSON.parse(String(sent(jwks))), "keys");
  for (const usable of [keys, [{ kty: "RSA" }, ...keys]])
    assert.deepEqual(keysSent(JSON.stringify({ keys: usable })), usable);
  assert.deepEqual(keysSent(JSON.stringify(keys[0])), keys, "a single key");
  for (const { publicKey } of [
    generateKeyPairSync("ec", { namedCurve: "P-384" }),
    generateKeyPairSync("ec", { namedCurve: "P-521" }),
    generateKeyPairSync("rsa", { modulusLength: 2048 }),
    generateKeyPairSync("ed25519"),
  ]) {
    const key = publicKey.export({ format: "jwk" });
    assert.deepEqual(keysSent(JSON.stringify({ keys: [key] })), [key]);
    const { crv: _crv, ...withoutCurve } = key;
    const named = key.crv === "P-384" ? { alg: "ES384" } : { alg: "ES512" };
    if (key.kty === "EC")
      assert.deepEqual(keysSent(JSON.stringify({ keys: [{ ...withoutCurve, ...named }] })), [
        { ...withoutCurve, ...named },
      ]);
  }
  // Envoy's parser refuses the odd values below in any member, even in one that it does not read.
  const [key = {}] = keys;
  const deep = `${"[".repeat(200)}${"]".repeat(200)}`;
  const members = JSON.stringify(key).slice(1, -1);
  for (const odd of [`"x5c":${deep}`, `"exp":1e999`, String.raw`"note":"\ud800"`, `"kty":"RSA"`])
    assert.deepEqual(keysSent(`{"keys":[{${odd},${members}}],"more":${deep}}`), keys, odd);
  assert.deepEqual(
    keysSent(
      JSON.stringify({
        keys: [
          { ...key, alg: "", use: null },
          { ...key, kid: "\ud800" },
        ],
      }),
    ),
    keys,
  );
  for (const unusable of [
    [],
    [{ kty: "RSA", n: "AQAB" }],
    [{ kty: "RSA", n: "AA", e: "AA" }],
    [{ ...keys[0], x: "AA" }],
    [{ ...keys[0], kid: 1 }],
    [{ ...keys[0], alg: "RS256" }],
    [{ kty: "x" }],
  ])
    assert.match(String(sent(JSON.stringify({ keys: unusable }))), /unavailable/, JSON.stringify(unusable));
});

test("tokens of several issuers are verified together, and an issuer without keys rejects its tokens", () => {
  const rules = [
    {
      issuer: "b",
      jwks: keySet,
      fromCookies: ["session"],
      outputClaimToHeaders: [{ header: "x-user", claim: "sub" }],
    },
    { issuer: "a", jwksUri: "https://a.example/keys" },
  ];
  const [filter] = filtersOf([config("RequestAuthentication", "shop/tokens", { jwtRules: rules })]).http;
  const written = jsonOf(filter);
  const of = (name: string, ...path: readonly string[]): JsonValue | undefined =>
    valueAt(written, "providers", name, ...path);
  assert.deepEqual([of("origins-0", "issuer"), of("origins-1", "issuer")], ["a", "b"]);
  assert.match(of("origins-0", "localJwks", "inlineString") as string, /unavailable/);
  assert.deepEqual(
    [of("origins-1", "localJwks"), of("origins-1", "fromCookies"), of("origins-1", "claimToHeaders")],
    [{ inlineString: keySet }, ["session"], [{ headerName: "x-user", claimName: "sub" }]],
  );
  const requirement = (index: number): JsonValue | undefined =>
    valueAt(written, "rules", 0, "requires", "requiresAny", "requirements", index);
  assert.deepEqual([requirement(0), requirement(1)], [{ providerName: "origins-0" }, { providerName: "origins-1" }]);
  assert.equal((valueAt(requirement(2), "requiresAll", "requirements") as JsonValue[]).length, 2);
});

test("a principal of the mesh's trust domain also matches its aliases", () => {
  const { http } = filtersOf(
    [policy("allow", { rules: [{ from: [{ source: { principals: ["cluster.local/ns/a/sa/x"] } }] }] })],
    { trustDomain: "new.example", trustDomainAliases: ["old.example"] },
  );
  const allowed = (domain: string): boolean =>
    rbacAllows(enforced(http), { ...(requests[0] ?? assert.fail()), peer: `spiffe://${domain}/ns/a/sa/x` });
  assert.deepEqual(["new.example", "old.example", "other.example"].map(allowed), [true, true, false]);
});

test("proxies fetch a rule's keys themselves if the control plane's settings say so, within the rule's timeout", () => {
  const rules = [
    { issuer: "a", jwksUri: "http://keys.example:8000/jwks", timeout: "0.01s" },
    { issuer: "b", jwksUri: "https://elsewhere.example/jwks" },
  ];
  const entry = config("ServiceEntry", "ns/keys", {
    hosts: ["keys.example"],
    ports: [{ number: 8000, name: "http", protocol: "HTTP" }],
    resolution: "DNS",
  });
  const keysOf = (keySetFetcher: MeshSettings["keySetFetcher"]): readonly unknown[] => {
    const mesh = keySetFetcher === undefined ? {} : { keySetFetcher };
    const written = jsonOf(
      filtersOf([entry, config("RequestAuthentication", "shop/tokens", { jwtRules: rules })], mesh).http[0],
    );
    return ["origins-0", "origins-1"].map((name) => {
      const uri = valueAt(written, "providers", name, "remoteJwks", "httpUri");
      return uri === undefined ? "local" : [valueAt(uri, "uri"), valueAt(uri, "cluster"), valueAt(uri, "timeout")];
    });
  };
  const own = ["http://keys.example:8000/jwks", "outbound|8000||keys.example", "0.010s"];
  assert.deepEqual(keysOf(undefined), ["local", "local"]);
  assert.deepEqual(keysOf("proxy-where-in-mesh"), [own, "local"]);
  assert.deepEqual(keysOf("proxy"), [own, ["https://elsewhere.example/jwks", "outbound|443||elsewhere.example", "5s"]]);
});

test("a workload may use several CUSTOM providers, each for its own rules, if the control plane's settings allow it", () => {
  const settings = { service: "authz.example", port: 9000, timeoutMs: 1000, failOpen: false, clearRouteCache: false };
  const extensionProviders: MeshSettings["extensionProviders"] = ["one", "two"].map((name) => ({
    kind: "authorization-grpc",
    name,
    settings: { ...settings, includePeerCertificate: false },
  }));
  const objects = [
    config("ServiceEntry", "ns/authz", {
      hosts: ["authz.example"],
      ports: [{ number: 9000, name: "grpc", protocol: "GRPC" }],
      resolution: "DNS",
    }),
    ...["one", "two"].map((name) =>
      policy(name, { action: "CUSTOM", provider: { name }, rules: [{ to: [{ operation: { paths: [`/${name}`] } }] }] }),
    ),
  ];
  const namesOf = (severalAuthorizers: boolean): readonly string[] =>
    filtersOf(objects, { extensionProviders, severalAuthorizers }).http.map(({ name }) =>
      name.replace("envoy.filters.http.", ""),
    );
  assert.deepEqual(namesOf(false), ["rbac", "rbac"]);
  assert.deepEqual(namesOf(true), ["rbac", "ext_authz", "rbac", "ext_authz"]);
  const { http } = filtersOf(objects, { extensionProviders, severalAuthorizers: true });
  assert.deepEqual(
    [http[1], http[3]].map((filter) =>
      valueAt(jsonOf(filter), "filterEnabledMetadata", "value", "stringMatch", "prefix"),
    ),
    ["istio-ext-authz-one-", "istio-ext-authz-two-"],
  );
});
