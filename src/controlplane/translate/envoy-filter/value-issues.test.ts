import assert from "node:assert/strict";
import { test } from "node:test";
import type { EnvoyConfigPatch } from "../../../api/istio/index.ts";
import { envoyTypes } from "../../envoy-types-file.ts";
import { envoyValueIssues } from "./value-issues.ts";

function issues(applyTo: EnvoyConfigPatch["applyTo"], value: Record<string, unknown>): readonly string[] {
  const { errors, warnings } = envoyValueIssues(
    [{ applyTo, operation: "MERGE", context: "ANY", proxyMetadata: {}, value }],
    envoyTypes(),
  );
  return [...errors, ...warnings].map(
    ({ path, message }) => `${path.replace("spec.configPatches[0].patch.value", "…")}: ${message}`,
  );
}

test("faults in patch values are reported at their fields at any depth", () => {
  const lua = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua";
  assert.deepEqual(
    issues("CLUSTER", {
      connect_timeout: "1s",
      lbPolicy: "RANDOM",
      circuit_breakers: { thresholds: [{ max_connections: 1 }] },
      transport_socket: { name: "a", typed_config: { "@type": lua } },
    }),
    [],
  );
  assert.deepEqual(issues("CLUSTER", { connect_timeout: "soon" }), [
    '….connect_timeout: is not a valid google.protobuf.Duration: "soon"',
  ]);
  assert.deepEqual(issues("CLUSTER", { lb_policy: "FASTEST" }), [
    '….lb_policy: is not a valid envoy.config.cluster.v3.Cluster.LbPolicy: "FASTEST"',
  ]);
  assert.deepEqual(issues("CLUSTER", { connect_timeut: "1s" }), [
    "….connect_timeut: is not a field of envoy.config.cluster.v3.Cluster and is ignored; did you mean connect_timeout?",
  ]);
  assert.deepEqual(issues("HTTP_FILTER", { name: "x" }), [
    "…: has no typed_config: Envoy identifies configurations by type, not by name",
  ]);
  assert.deepEqual(
    issues("HTTP_FILTER", { name: "x", typed_config: { "@type": lua, default_source_code: { inline_string: 1 } } }),
    [
      "….typed_config.default_source_code.inline_string: is not a valid envoy.config.core.v3.DataSource.inline_string: expected string, got 1",
    ],
  );
  assert.deepEqual(issues("HTTP_FILTER", { name: "x", typed_config: { inline_code: "" } }), [
    "….typed_config: must be an object with @type, the address of its type",
  ]);
  assert.deepEqual(issues("HTTP_ROUTE", { route: {}, redirect: {} }), [
    "….redirect: must not be set together with route: only one of route, redirect, direct_response, filter_action, non_forwarding_action may be set",
  ]);
  assert.deepEqual(issues("VIRTUAL_HOST", { domains: "a" }), ['….domains: must be a list, got "a"']);
});

test("only the first unknown fields are compared with the known ones, because a value has room for thousands", () => {
  const fields = Array.from({ length: 25 }, (_, index) => [`connect_timeut${"t".repeat(index % 3)}${index}`, 1]);
  const found = issues("CLUSTER", Object.fromEntries(fields) as Record<string, unknown>);
  assert.equal(found.length, 25);
  assert.equal(found.filter((issue) => issue.includes("did you mean connect_timeout")).length, 20);
});
