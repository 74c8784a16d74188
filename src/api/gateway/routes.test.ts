import assert from "node:assert/strict";
import { test } from "node:test";
import type { KindDefinition } from "../kind.ts";
import { backendTlsPolicyKind } from "./backend-tls-policy.ts";
import { gatewayApiKinds } from "./gateway-api-kinds.ts";
import { grpcRouteKind } from "./grpc-route.ts";
import { parseTlsRoute, tcpRouteKind, tlsRouteKind } from "./l4-routes.ts";
import { listenerSetKind, parseListenerSet } from "./listener-set.ts";

function errorsOf(kind: KindDefinition, spec: unknown): readonly string[] {
  return (kind.parse?.({ metadata: { name: "x" }, spec }).errors ?? []).map(
    ({ path, message }) => `${path}: ${message}`,
  );
}

test("faults of routes and policies are reported at their fields", () => {
  const backendRefs = [{ name: "a", port: 80 }];
  const cases: readonly [KindDefinition, object, ...string[]][] = [
    [grpcRouteKind, { rules: [{ matches: [{ method: { service: "a.B", method: "C" } }], backendRefs }] }],
    [
      grpcRouteKind,
      { rules: [{ matches: [{ method: {} }] }] },
      "spec.rules[0].matches[0].method: must have a service or a method",
    ],
    [
      grpcRouteKind,
      { rules: [{ matches: [{ method: { service: "a/b" } }] }] },
      'spec.rules[0].matches[0].method.service: must be a full gRPC service name, got "a/b"',
    ],
    [
      grpcRouteKind,
      { rules: [{ filters: [{ type: "URLRewrite", urlRewrite: {} }] }] },
      "spec.rules[0].filters: must be one of RequestHeaderModifier, ResponseHeaderModifier, RequestMirror, ExtensionRef, got URLRewrite",
    ],
    [tlsRouteKind, { hostnames: ["a.com"], rules: [{ backendRefs }] }],
    // An API server returns a route in this form as v1 if it was written as v1alpha2.
    [tlsRouteKind, { rules: [{ backendRefs }] }],
    [tcpRouteKind, { rules: [{}] }, "spec.rules[0].backendRefs: must have at least one backend"],
    [
      tcpRouteKind,
      { rules: [{ backendRefs: [{ name: "a" }] }] },
      "spec.rules[0].backendRefs[0].port: is required for a Service",
    ],
    [
      grpcRouteKind,
      { rules: [{ matches: [{ method: { type: "RegularExpression", method: "((a?){1000}){9}" } }] }] },
      "spec.rules[0].matches[0].method.method: must be an expression of at most 32768 instructions, got about 36018: repeat less by {n,m}",
    ],
    [
      grpcRouteKind,
      {
        rules: [
          {
            matches: [
              {
                method: { type: "RegularExpression", service: "a.(b|c)", method: "(" },
                headers: [{ type: "RegularExpression", name: "x", value: "(?=a)" }],
              },
            ],
          },
        ],
      },
      'spec.rules[0].matches[0].method.method: must be an RE2 expression (https://github.com/google/re2/wiki/Syntax), got "(": missing closing ): `(`',
      'spec.rules[0].matches[0].headers[0].value: must be an RE2 expression (https://github.com/google/re2/wiki/Syntax), got "(?=a)": invalid or unsupported Perl syntax: `(?=`',
    ],
    [
      grpcRouteKind,
      {
        rules: [
          {
            filters: [
              { type: "RequestHeaderModifier", requestHeaderModifier: { set: [{ name: "x", value: "a\nb: c" }] } },
            ],
          },
        ],
      },
      "spec.rules[0].filters[0].requestHeaderModifier.set[0].value: must not have control characters",
    ],
    [
      backendTlsPolicyKind,
      {
        targetRefs: [{ group: "", kind: "Service", name: "a" }],
        validation: { hostname: "a.com", wellKnownCACertificates: "System" },
      },
    ],
    [
      backendTlsPolicyKind,
      { targetRefs: [{ group: "", kind: "Service", name: "a" }], validation: { hostname: "a.com" } },
      "spec.validation: must have caCertificateRefs, or wellKnownCACertificates: System",
    ],
    [backendTlsPolicyKind, {}, "spec.validation: is required", "spec.targetRefs: must have at least one target"],
    [listenerSetKind, { listeners: [{ name: "a", port: 80, protocol: "HTTP" }] }, "spec.parentRef: is required"],
    [listenerSetKind, { parentRef: { name: "g" }, listeners: [] }, "spec.listeners: must have at least one listener"],
    [
      listenerSetKind,
      { parentRef: { name: "g" }, listeners: ["a"] },
      'spec.listeners[0]: must be an object, got "a"',
      "spec.listeners: must have at least one listener",
    ],
  ];
  for (const [kind, spec, ...expected] of cases)
    assert.deepEqual(errorsOf(kind, spec), expected, `${kind.kind} ${JSON.stringify(spec)}`);
});

test("weights and references have their defaults", () => {
  const spec = parseTlsRoute({
    metadata: {},
    spec: { hostnames: ["a.com"], parentRefs: [{ name: "g" }], rules: [{ backendRefs: [{ name: "a", port: 80 }] }] },
  }).value?.spec;
  assert.deepEqual(spec?.rules[0]?.backendRefs, [
    { group: "", kind: "Service", name: "a", namespace: undefined, port: 80, weight: 1 },
  ]);
  assert.equal(spec.parentRefs[0]?.kind, "Gateway");
});

test("no parser throws for a value that is not an object", () => {
  for (const raw of [
    undefined,
    null,
    1,
    "x",
    [],
    { spec: [] },
    { spec: { rules: [null, 1], listeners: [[]], targetRefs: "a" } },
  ]) {
    for (const kind of gatewayApiKinds) assert.doesNotThrow(() => kind.parse?.(raw), kind.kind);
  }
});

test("a listener of a ListenerSet without a port has that of its protocol, and another protocol has none", () => {
  const portOf = (protocol: string): unknown =>
    parseListenerSet({
      metadata: { name: "a" },
      spec: { parentRef: { name: "g" }, listeners: [{ name: "l", protocol }] },
    }).value?.spec.listeners[0]?.port;
  assert.equal(portOf("HTTPS"), 443);
  assert.equal(portOf("constructor"), undefined);
});
