import assert from "node:assert/strict";
import { test } from "node:test";
import { istioKinds } from "./istio/index.ts";
import { meansNoEffect } from "./field-effect.ts";
import type { FieldIssue } from "./parsed.ts";

function warningsOf(kind: string, spec: object): readonly FieldIssue[] {
  const found = istioKinds.find((known) => known.kind === kind);
  assert.ok(found?.parse);
  return found.parse({ metadata: { name: "x", namespace: "shop" }, spec }).warnings;
}

test("a warning has a code for its meaning, so that programs do not parse its text", () => {
  const route = [
    { destination: { host: "a" }, weight: 1 },
    { destination: { host: "b" }, weight: 2 },
  ];
  const warnings = [
    ...warningsOf("DestinationRule", { host: "a", trafficPolicy: { outlierDetection: { consecutiveErrors: 5 } } }),
    ...warningsOf("VirtualService", {
      hosts: ["a"],
      http: [{ route, mirror: { host: "a" }, mirrorPercent: 5 }],
    }),
    ...warningsOf("VirtualService", { hosts: ["a"], tcp: [{ route: [route[0]] }, { route: [route[0]] }] }),
    ...warningsOf("Gateway", {
      servers: [{ port: { number: 80, protocol: "HTTP", name: "a" }, hosts: ["a"], defaultEndpoint: "a" }],
    }),
    ...warningsOf("EnvoyFilter", {
      configPatches: [{ applyTo: "ROUTE_CONFIGURATION", patch: { operation: "REMOVE" } }],
    }),
  ];
  assert.deepEqual(
    warnings.map(({ path, code }) => `${path} ${code ?? "none"}`),
    [
      "spec.trafficPolicy.outlierDetection.consecutiveErrors deprecated-no-effect",
      "spec.http[0].mirrorPercent deprecated",
      "spec.http[0].route relative-weights",
      "spec.tcp[1] never-used",
      "spec.servers[0].defaultEndpoint no-effect",
      "spec.configPatches[0].patch.operation operation-no-effect",
    ],
  );
  assert.equal(warnings.filter(meansNoEffect).length, 3);
});
