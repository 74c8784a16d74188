import assert from "node:assert/strict";
import { test } from "node:test";
import { readSettings } from "./proxy-settings.ts";
import type { StatsInclusion } from "./stats-inclusion.ts";

const always = {
  prefixes: ["cluster_manager", "listener_manager", "server", "cluster.xds-grpc", "wasm"],
  suffixes: ["rbac.allowed", "rbac.denied", "shadow_allowed", "shadow_denied"],
};

function inclusionOf(env: Readonly<Record<string, string>>, annotations = ""): StatsInclusion {
  return readSettings({ env, args: ["proxy", "sidecar"], version: "1", labelsFile: "", annotationsFile: annotations })
    .statsInclusion;
}

const config = (matcher: object): Record<string, string> => ({
  PROXY_CONFIG: JSON.stringify({ proxyStatsMatcher: matcher }),
});

test("a proxy has upstream's required statistics, and those of the mesh's matcher", () => {
  assert.deepEqual(inclusionOf({}), { ...always, regexps: [], regexpsFrom: "proxyStatsMatcher.inclusionRegexps" });
  const matcher = {
    inclusionPrefixes: ["cluster.outbound"],
    inclusionSuffixes: ["upstream_rq_timeout", ""],
    inclusionRegexps: [".*circuit_breakers.*"],
  };
  assert.deepEqual(inclusionOf(config(matcher)), {
    prefixes: ["cluster.outbound", ...always.prefixes],
    suffixes: ["upstream_rq_timeout", ...always.suffixes],
    regexps: [".*circuit_breakers.*"],
    regexpsFrom: "proxyStatsMatcher.inclusionRegexps",
  });
});

test("a value of another type in PROXY_CONFIG asks for nothing", () => {
  for (const matcher of [{ inclusionPrefixes: "cluster" }, { inclusionPrefixes: [7, null] }, "cluster", ["cluster"]])
    assert.deepEqual(inclusionOf(config(matcher as object)).prefixes, always.prefixes);
});

test("an annotation of the pod replaces its own field, and not the others", () => {
  const env = config({ inclusionPrefixes: ["mesh"], inclusionSuffixes: ["mesh"], inclusionRegexps: ["mesh"] });
  const annotations = 'sidecar.istio.io/statsInclusionPrefixes="a,b"\nsidecar.istio.io/statsInclusionSuffixes=""\n';
  const found = inclusionOf(env, annotations);
  assert.deepEqual(found.prefixes, ["a", "b", ...always.prefixes]);
  assert.deepEqual(found.suffixes, ["mesh", ...always.suffixes]);
  assert.deepEqual(found.regexps, ["mesh"]);
  const expressions = inclusionOf(env, 'sidecar.istio.io/statsInclusionRegexps="x\\\\.y,z"\n');
  assert.deepEqual(
    [expressions.regexps, expressions.regexpsFrom],
    [[String.raw`x\.y`, "z"], "annotation sidecar.istio.io/statsInclusionRegexps"],
  );
});

test("the annotation proxy.istio.io/config replaces the whole matcher", () => {
  const env = config({ inclusionPrefixes: ["mesh"], inclusionSuffixes: ["mesh"] });
  const found = inclusionOf(env, 'proxy.istio.io/config="proxyStatsMatcher:\\n  inclusionPrefixes: [pod]\\n"\n');
  assert.deepEqual([found.prefixes[0], found.suffixes], ["pod", always.suffixes]);
});

test("{pod_ip} stands for each address of the pod", () => {
  const env = { ...config({ inclusionPrefixes: ["http.{pod_ip}_"] }), INSTANCE_IPS: "10.0.0.1,fd00::1" };
  assert.deepEqual(inclusionOf(env).prefixes.slice(0, 2), ["http.10.0.0.1_", "http.fd00::1_"]);
});

test("a proxy that ends with its last connection has the gauges of connections", () => {
  const { suffixes } = inclusionOf({ EXIT_ON_ZERO_ACTIVE_CONNECTIONS: "true" });
  assert.deepEqual(suffixes, [...always.suffixes, "downstream_cx_active"]);
});
