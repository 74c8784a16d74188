import assert from "node:assert/strict";
import { test } from "node:test";
import { formatIssues } from "../parsed.ts";
import { parseMeshUpgrade } from "./mesh-upgrade.ts";

const ends = { from: { revision: "a" }, to: { revision: "b" } };

function warningsOf(spec: object): readonly string[] {
  const { errors, warnings } = parseMeshUpgrade({ metadata: { name: "u" }, spec: { ...ends, ...spec } });
  assert.deepEqual(errors, []);
  return warnings.map((issue) => formatIssues([issue]));
}

test("a MeshUpgrade warns of a check of type request-share, which no step judges", () => {
  const checks = [{ type: "xds-nacks" }, { type: "request-share" }];
  const [ofSpec, ofWave, ...others] = warningsOf({ checks, waves: [{ checks }] });
  assert.match(ofSpec ?? "", /^spec\.checks\[1\]: has no effect: no step of a MeshUpgrade has an expected share/);
  assert.match(ofWave ?? "", /^spec\.waves\[0\]\.checks\[1\]: has no effect/);
  assert.deepEqual(others, []);
});

test("a MeshUpgrade warns of tcp-connect-failures where neither ztunnels nor the agent move", () => {
  const checks = [{ type: "tcp-connect-failures" }];
  const warned = (spec: object): number => warningsOf(spec).length;
  assert.equal(warned({ checks }), 0);
  assert.equal(warned({ checks, scope: { ztunnel: false } }), 1);
  assert.equal(warned({ checks, scope: { ztunnel: false }, to: { revision: "b", cni: {} } }), 0);
  assert.equal(warned({ waves: [{ checks }] }), 0);
  assert.equal(warned({ waves: [{ checks }], ztunnel: { by: "Node" } }), 1, "nodes move after the waves");
});

test("a MeshUpgrade warns of a second check of a type that a step has only once", () => {
  const checks = [
    { type: "mtls-probe-matrix", name: "first" },
    { type: "mtls-probe-matrix", name: "second" },
    { type: "query", name: "one", min: 1, query: { provider: "mesh", expression: "up" } },
    { type: "query", name: "two", min: 1, query: { provider: "mesh", expression: "up" } },
  ];
  const [first, ...others] = warningsOf({ checks });
  assert.match(first ?? "", /^spec\.checks\[1\]: has no effect: a step has only one .* checks\[0\] comes first/);
  assert.deepEqual(others, []);
});

test("a MeshUpgrade warns of the settings of parts that do not move", () => {
  const places = (spec: object): readonly string[] => warningsOf(spec).map((text) => text.split(": ", 1)[0] ?? "");
  const settings = {
    ztunnel: { by: "Pod" },
    gateways: { weights: [50], afterWave: 0 },
    waypoints: { weights: [50] },
    waves: [{ mode: "ScaleFirst", maxUnavailable: 2 }],
  };
  assert.deepEqual(places(settings), []);
  assert.deepEqual(places({ ...settings, scope: { gateways: false } }), ["spec.gateways.weights"]);
  assert.deepEqual(places({ ...settings, scope: { ztunnel: false, waypoints: false, gateways: false } }), [
    "spec.ztunnel",
    "spec.waypoints",
    "spec.gateways.weights",
    "spec.gateways.afterWave",
  ]);
  assert.deepEqual(places({ ...settings, scope: { namespaces: false } }), [
    "spec.waves[0].mode",
    "spec.waves[0].maxUnavailable",
  ]);
  assert.deepEqual(places({ scope: { cni: false }, to: { revision: "b", cni: {} } }), ["spec.to.cni"]);
});

test("a MeshUpgrade within one revision warns of the fields that say how parts move", () => {
  const spec = { to: { revision: "a", cni: {} }, waves: [{}], retire: "Manual", soakSeconds: 5 };
  assert.deepEqual(
    warningsOf(spec).map((text) => text.split(": ", 1)[0]),
    ["spec.waves", "spec.retire"],
  );
});
