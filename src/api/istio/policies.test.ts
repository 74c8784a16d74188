import assert from "node:assert/strict";
import { test } from "node:test";
import type { KindDefinition } from "../kind.ts";
import { authorizationPolicyKind } from "./security/authorization-policy.ts";
import { envoyFilterKind } from "./envoy-filter/envoy-filter.ts";
import { trafficExtensionKind, wasmPluginKind } from "./extensions.ts";
import { peerAuthenticationKind } from "./security/peer-authentication.ts";
import { parseRequestAuthentication, requestAuthenticationKind } from "./security/request-authentication.ts";
import { parseTelemetry, telemetryKind } from "./telemetry.ts";
import { issuesOf } from "./testing/issues-of.ts";

type Case = readonly [object, ...string[]];

function assertErrors(kind: KindDefinition, cases: readonly Case[]): void {
  for (const [spec, ...expected] of cases)
    assert.deepEqual(issuesOf(kind, spec).errors, expected, JSON.stringify(spec));
}

test("an authorization policy's faults are reported at their fields", () => {
  const from = (source: object): object => ({ rules: [{ from: [{ source }] }] });
  const to = (operation: object): object => ({ rules: [{ to: [{ operation }] }] });
  const when = (condition: object): object => ({ rules: [{ when: [condition] }] });
  assertErrors(authorizationPolicyKind, [
    [{}],
    [{ rules: [{}] }],
    [from({ serviceAccounts: ["shop/web", "api"], trustDomains: ["*.local"], ipBlocks: ["10.0.0.0/8", "::1"] })],
    [to({ paths: ["/a*", "*/b", "/a/{*}/b/{**}"], ports: ["80"] })],
    [when({ key: "request.headers[x-token]", values: ["a"] })],
    [
      { action: "DENY" },
      "spec.rules: must have a rule when the action is DENY; write {} for one that every request matches",
    ],
    [
      { action: "CUSTOM", rules: [{}] },
      "spec.provider: is required when the action is CUSTOM: the name of an extension provider",
    ],
    [
      { action: "CUSTOM", provider: { name: "a" }, ...from({ principals: ["*"] }) },
      "spec.rules[0].from[0].source.principals: is not supported when the action is CUSTOM",
    ],
    [{ provider: { name: "a" } }, "spec.provider: must not be set when the action is ALLOW; it is for CUSTOM"],
    [{ action: "allow" }, 'spec.action: must be one of ALLOW, DENY, AUDIT, CUSTOM, got "allow"'],
    [{ rules: ["all"] }, 'spec.rules[0]: must be an object, got "all"'],
    [{ rules: [{ from: [] }] }, "spec.rules[0].from: must not be empty; remove it to match all"],
    [{ rules: [{ form: [{}] }] }, "spec.rules[0].form: is not a known field; did you mean from?"],
    [
      from({ ipBlocks: ["10.0.0.256"] }),
      'spec.rules[0].from[0].source.ipBlocks[0]: must be an IP address or a CIDR such as 10.1.0.0/16, got "10.0.0.256"',
    ],
    [from({ namespaces: [""] }), "spec.rules[0].from[0].source.namespaces[0]: must not be empty"],
    [
      from({ serviceAccounts: ["a/b/c"] }),
      'spec.rules[0].from[0].source.serviceAccounts[0]: must be a service account\'s name, or namespace/name, got "a/b/c"',
    ],
    [
      from({ serviceAccounts: ["a"], namespaces: ["b"] }),
      "spec.rules[0].from[0].source.serviceAccounts: cannot be combined with namespaces",
    ],
    [
      from({ trustDomains: ["a*b"] }),
      'spec.rules[0].from[0].source.trustDomains[0]: may have one "*", at its beginning or end, got "a*b"',
    ],
    [to({ ports: ["0"] }), 'spec.rules[0].to[0].operation.ports[0]: must be a port number, got "0"'],
    [
      to({ paths: ["/{a}"] }),
      'spec.rules[0].to[0].operation.paths[0]: may have braces only as whole path segments "{*}" and "{**}", got "/{a}"',
    ],
    [
      to({ paths: ["/{**}/{*}"] }),
      'spec.rules[0].to[0].operation.paths[0]: must have "{**}" as its last template, got "/{**}/{*}"',
    ],
    [
      { rules: [{ to: [{ operation: { paths: [`/${"a".repeat(4096)}/{*}`] } }] }] },
      "spec.rules[0].to[0].operation.paths[0]: must have at most 4096 characters beside templates, got 4101",
    ],
    [when({ key: "source.ip" }), "spec.rules[0].when[0]: must have values or notValues"],
    [
      when({ key: "request.headers", values: ["a"] }),
      'spec.rules[0].when[0].key: must have a name in brackets, such as request.headers[x-token], got "request.headers"',
    ],
    [
      when({ key: "destination.labels[a]", values: ["a"] }),
      "spec.rules[0].when[0].key: is not a condition; use the selector",
    ],
    [
      when({ key: "source.ip", notValues: ["a"] }),
      'spec.rules[0].when[0].notValues[0]: must be an IP address or a CIDR such as 10.1.0.0/16, got "a"',
    ],
    [
      { targetRefs: [{ kind: "Pod", name: "a" }] },
      'spec.targetRefs[0]: must be one of Service, networking.istio.io/ServiceEntry, gateway.networking.k8s.io/Gateway, gateway.networking.k8s.io/GatewayClass, got "Pod"',
    ],
    [
      { targetRefs: [{ kind: "Service", name: "a", namespace: "b" }] },
      "spec.targetRefs[0].namespace: must not be set: a policy applies to targets in its own namespace only",
    ],
  ]);
  const dryRun = (value: string, action: string): readonly string[] =>
    issuesOf(
      authorizationPolicyKind,
      { action, rules: [{}], provider: undefined },
      { annotations: { "istio.io/dry-run": value } },
    ).errors;
  assert.deepEqual(dryRun("true", "DENY"), []);
  assert.deepEqual(dryRun("yes", "DENY"), [
    'metadata.annotations.istio.io/dry-run: must be "true" or "false", got "yes"',
  ]);
});

test("a DENY rule on fields that only requests have gets a warning, because it denies all other traffic", () => {
  const deny = (rule: object): readonly string[] =>
    issuesOf(authorizationPolicyKind, { action: "DENY", rules: [rule] }).warnings;
  assert.deepEqual(deny({ to: [{ operation: { methods: ["GET"] } }] }), [
    "spec.rules[0]: has HTTP conditions only, so the policy denies all traffic to TCP ports; list the HTTP ports in to.operation.ports",
  ]);
  assert.deepEqual(deny({ to: [{ operation: { methods: ["GET"], ports: ["80"] } }] }), []);
  assert.deepEqual(deny({ from: [{ source: { namespaces: ["a"] } }] }), []);
});

test("faults of authentication policies are reported at their fields", () => {
  assertErrors(peerAuthenticationKind, [
    [{ mtls: { mode: "STRICT" } }],
    [{ portLevelMtls: {} }, "spec.portLevelMtls: must have at least one port; remove the field for none"],
    [{ mtls: { mod: "STRICT" } }, "spec.mtls.mod: is not a known field; did you mean mode?"],
  ]);
  const jwt = (rule: object): object => ({ jwtRules: [{ issuer: "me", ...rule }] });
  assertErrors(requestAuthenticationKind, [
    [jwt({ jwks: '{"keys":[{"kty":"RSA","n":"a","e":"AQAB"}]}', fromHeaders: [{ name: "x", prefix: "Bearer " }] })],
    [jwt({ issuer: "" }), "spec.jwtRules[0].issuer: is required, unless there is a jwksUri"],
    [
      jwt({ jwksUri: "ftp://a" }),
      'spec.jwtRules[0].jwksUri: must be a URL that begins with http:// or https://, got "ftp://a"',
    ],
    [jwt({ jwks: "{" }), "spec.jwtRules[0].jwks: must be a JSON Web Key Set: an object with a list of keys"],
    [jwt({ audiences: [""] }), "spec.jwtRules[0].audiences[0]: must not be empty"],
    [
      jwt({ outputClaimToHeaders: [{ header: "a b", claim: "c" }] }),
      'spec.jwtRules[0].outputClaimToHeaders[0].header: must be the name of a header of letters, digits, "-" and "_", got "a b"',
    ],
    [
      { selector: { matchLabels: { a: "b" } }, targetRefs: [{ kind: "Service", name: "s" }] },
      "spec.selector: cannot be combined with targetRefs",
    ],
  ]);
  assert.deepEqual(issuesOf(requestAuthenticationKind, jwt({ jwks: '{"keys":[{"kty":"RSA","d":"a"}]}' })).warnings, [
    "spec.jwtRules[0].jwks: has a private key at 0; only public keys are needed, remove it",
  ]);
  assert.equal(
    parseRequestAuthentication({ metadata: {}, spec: jwt({ timeout: "5s" }) }).value?.spec.jwtRules[0]?.timeoutMs,
    5000,
  );
});

test("telemetry is read under upstream's names, and its faults are reported at their fields", () => {
  const spec = {
    metrics: [
      {
        providers: [{ name: "prometheus" }],
        overrides: [
          {
            match: { metric: "REQUEST_COUNT", mode: "CLIENT" },
            tagOverrides: { a: { value: "b" }, c: { operation: "REMOVE" } },
          },
        ],
      },
    ],
    accessLogging: [{ filter: { expression: "response.code >= 400" } }],
  };
  const parsed = parseTelemetry({ metadata: {}, spec }).value?.spec;
  assert.deepEqual(parsed?.metrics[0]?.overrides[0]?.match, {
    metric: { kind: "metric", metric: "REQUEST_COUNT" },
    mode: "CLIENT",
  });
  assert.deepEqual(parsed?.metrics[0]?.overrides[0]?.tagOverrides, {
    a: { operation: "UPSERT", value: "b" },
    c: { operation: "REMOVE", value: "" },
  });
  assert.deepEqual(parsed?.accessLogging[0]?.filter, { expression: "response.code >= 400" });
  assertErrors(telemetryKind, [
    [
      { tracing: [{ randomSamplingPercentage: 101 }] },
      "spec.tracing[0].randomSamplingPercentage: must be from 0 to 100, got 101",
    ],
    [
      { tracing: [{ customTags: { a: {} } }] },
      "spec.tracing[0].customTags.a: must have exactly one of literal, environment, header and formatter, got 0",
    ],
    [{ metrics: [{ providers: [{}] }] }, "spec.metrics[0].providers[0].name: is required"],
    [
      { metrics: [{ overrides: [{ tagOverrides: { a: {} } }] }] },
      "spec.metrics[0].overrides[0].tagOverrides.a.value: is required when the operation is UPSERT: an expression, or REMOVE as the operation",
    ],
  ]);
});

test("a filter of an access log that only Envoys do not take brings a warning with the expression", () => {
  const issues = (expression: string) => issuesOf(telemetryKind, { accessLogging: [{ filter: { expression } }] });
  assert.deepEqual(issues("response.code >= 400"), { errors: [], warnings: [] });
  assert.deepEqual(issues("string(response.code) == '500'"), {
    errors: [],
    warnings: [
      "spec.accessLogging[0].filter.expression: Envoys leave this access log out, because it calls string with 1 argument, and Envoy has no such function, got \"string(response.code) == '500'\"",
    ],
  });
  assert.deepEqual(issues(" ").errors, [
    "spec.accessLogging[0].filter.expression: must not be empty; remove the filter to log all",
  ]);
  assert.match(issues(`a${".b".repeat(1000)}`).errors.join(), /must have at most 500 levels/);
});

test("a tag of a span with a format or header name that not all proxies take brings a warning", () => {
  const warnings = (tag: object): readonly string[] =>
    issuesOf(telemetryKind, { tracing: [{ customTags: { a: tag } }] }).warnings.filter((text) =>
      text.includes("customTags.a"),
    );
  assert.deepEqual(warnings({ formatter: { value: "%REQ(:PATH)%" } }), []);
  assert.deepEqual(warnings({ formatter: { value: "%NOTHING%" } }), [
    "spec.tracing[0].customTags.a: is left out, because not all proxies take its format",
  ]);
  assert.deepEqual(warnings({ header: { name: "a\nb" } }), [
    "spec.tracing[0].customTags.a: is left out, because not all proxies take its header name",
  ]);
});

test("settings of spans bring no warning, because all proxies follow them", () => {
  const tracing = { customTags: { a: { literal: { value: "b" } } }, enableIstioTags: false };
  assert.deepEqual(issuesOf(telemetryKind, { tracing: [{ ...tracing, useRequestIdForTraceSampling: false }] }), {
    errors: [],
    warnings: [],
  });
});

test("a label of a metric whose expression cannot be parsed brings a warning", () => {
  const metrics = (value: string): object => ({ metrics: [{ overrides: [{ tagOverrides: { a: { value } } }] }] });
  assert.deepEqual(issuesOf(telemetryKind, metrics("request.host")), { errors: [], warnings: [] });
  // Serin's proxies have more CEL functions than Envoy.
  for (const value of ["string(destination.port)", "request.host.lowerAscii()"])
    assert.deepEqual(issuesOf(telemetryKind, metrics(value)), { errors: [], warnings: [] });
  assert.match(
    issuesOf(telemetryKind, metrics(" ")).warnings.join(),
    /value: must not be empty; the label is left out/,
  );
  const { errors, warnings } = issuesOf(telemetryKind, metrics("request.("));
  assert.deepEqual(errors, []);
  assert.match(warnings.join(), /tagOverrides\.a\.value: must be a CEL expression.*; the label is left out/);
});

test("proxy extensions are validated, and options without effect are named", () => {
  const patch = { applyTo: "CLUSTER", patch: { operation: "MERGE", value: {} } };
  const http = {
    applyTo: "HTTP_FILTER",
    patch: {
      operation: "ADD",
      value: { typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua" } },
    },
  };
  const typed = (type: string): object => ({
    ...http,
    patch: { operation: "ADD", value: { typed_config: { "@type": type } } },
  });
  const warnings = (configPatch: object): readonly string[] =>
    issuesOf(envoyFilterKind, { configPatches: [configPatch] }).warnings;
  assert.deepEqual(issuesOf(envoyFilterKind, { configPatches: [patch, http] }), { errors: [], warnings: [] });
  assert.deepEqual(warnings({ ...patch, applyTo: "BOOTSTRAP" }), [
    "spec.configPatches[0].applyTo: has no effect when it is BOOTSTRAP, as with Istio 1.31: proxies start from a file that their own agent writes, and the control plane does not patch it",
  ]);
  assert.deepEqual(warnings({ applyTo: "ROUTE_CONFIGURATION", patch: { operation: "REMOVE" } }), [
    "spec.configPatches[0].patch.operation: has no effect: REMOVE does nothing where applyTo is ROUTE_CONFIGURATION; use MERGE, MERGE_AND_REPLACE_LIST",
  ]);
  assert.deepEqual(
    warnings({ ...http, match: { listener: { filterChain: { filter: { name: "envoy.http_connection_manager" } } } } }),
    [
      "spec.configPatches[0].match.listener.filterChain.filter.name: is the old name of envoy.filters.network.http_connection_manager, and matches nothing; use envoy.filters.network.http_connection_manager",
    ],
  );
  assert.deepEqual(
    warnings({ ...http, match: { listener: { filterChain: { filter: { name: "constructor" } } } } }),
    [],
    "the name is one that objects inherit",
  );
  const annotations = { "envoyfilter.istio.io/referenced-services": "shop/a" };
  assert.match(
    issuesOf(envoyFilterKind, { configPatches: [patch] }, { annotations }).warnings.join(),
    /^metadata\.annotations\.envoyfilter\.istio\.io\/referenced-services: has no effect/,
  );
  assertErrors(envoyFilterKind, [
    [{ configPatches: [{ applyTo: "CLUSTER" }] }, "spec.configPatches[0].patch: is required"],
    [
      { configPatches: [{ ...patch, match: { listener: {} } }] },
      "spec.configPatches[0].match.listener: must be cluster when applyTo is CLUSTER",
    ],
    [
      { configPatches: [{ ...patch, match: { cluster: { sevice: "a" } } }] },
      "spec.configPatches[0].match.cluster.sevice: is not a known field; did you mean service?",
    ],
    [
      { configPatches: [{ ...patch, match: { cluster: { portNumber: 70_000 } } }] },
      "spec.configPatches[0].match.cluster.portNumber: must be from 1 to 65535, got 70000",
    ],
    [
      { configPatches: [{ ...patch, patch: { operation: "MERGE" } }] },
      "spec.configPatches[0].patch.value: is required unless the operation is REMOVE",
    ],
    [
      { configPatches: [typed("type.googleapis.com/envoy.config.filter.http.lua.v2.Lua")] },
      'spec.configPatches[0].patch.value.typed_config.@type: is not a type of Envoy\'s API: "envoy.config.filter.http.lua.v2.Lua"; Envoy no longer has API v2, use the type of v3',
    ],
    [
      { configPatches: [typed("type.googleapis.com/my.own.Filter")] },
      'spec.configPatches[0].patch.value.typed_config.@type: is not a type of Envoy\'s API: "my.own.Filter"',
    ],
  ]);
  assert.deepEqual(issuesOf(wasmPluginKind, { url: "oci://a/b", phase: "AUTHZ" }), { errors: [], warnings: [] });
  assert.deepEqual(issuesOf(wasmPluginKind, { url: "oci://a/b", type: "NETWORK" }), {
    errors: [],
    warnings: [
      "spec.type: NETWORK runs only in Envoy; Serin's own proxy refuses all connections, because of failStrategy",
    ],
  });
  assertErrors(wasmPluginKind, [
    [{}, "spec.url: is required"],
    [
      { url: "gopher://a" },
      'spec.url: must be a URL with oci://, http://, https:// or file://, or an image reference, got "gopher://a"',
    ],
  ]);
  for (const url of ["file://", "oci://"])
    assertErrors(wasmPluginKind, [
      [
        { url },
        `spec.url: must be a URL with oci://, http://, https:// or file://, or an image reference, got "${url}"`,
      ],
    ]);
  assert.deepEqual(issuesOf(trafficExtensionKind, { lua: { inlineCode: "-- x" } }), { errors: [], warnings: [] });
  assertErrors(trafficExtensionKind, [[{ lua: { inlineCode: "" } }, "spec.lua.inlineCode: is required"]]);
});

test("metrics and tags of traces that are too long to repeat in each listener are refused", () => {
  const overrides = (count: number): object[] =>
    Array.from({ length: count }, (_, index) => ({ tagOverrides: { [`tag_${index}`]: { operation: "REMOVE" } } }));
  const customTags = (count: number): object =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [`tag_${index}`, { literal: { value: "a" } }]));
  const spec = (count: number): object => ({
    metrics: [{ overrides: overrides(count) }],
    tracing: [{ customTags: customTags(count) }],
  });
  assert.deepEqual(issuesOf(telemetryKind, spec(1_000)).errors, []);
  const [metrics = "", tracing = "", ...others] = issuesOf(telemetryKind, spec(2_000)).errors;
  const advice = "and at most 65536 are allowed, because every listener of a proxy repeats them; override fewer tags";
  assert.match(metrics, new RegExp(`^spec\\.metrics: has \\d+ characters, ${advice}$`));
  assert.match(tracing, new RegExp(`^spec\\.tracing: has \\d+ characters, ${advice}$`));
  assert.deepEqual(others, []);
});

test("an EnvoyFilter with more patches than a proxy can apply to all its clusters is refused", () => {
  const patch = { applyTo: "CLUSTER", patch: { operation: "MERGE", value: { connect_timeout: "1s" } } };
  const spec = (count: number): object => ({ configPatches: Array.from({ length: count }, () => patch) });
  assertErrors(envoyFilterKind, [
    [spec(256)],
    [
      spec(257),
      "spec.configPatches: has 257 patches, and at most 256 are allowed, because each is compared with each cluster, listener and route of a proxy; use fewer, or several EnvoyFilters",
    ],
  ]);
});
