import assert from "node:assert/strict";
import { test } from "node:test";
import { parseMeshConfig } from "./mesh-config.ts";
import { parseMeshNetworks } from "./mesh-networks.ts";
import { withJsonNames } from "./proto-json-names.ts";

test("a mesh config may use the names of protobuf's definition, and numbers in quotes, as Istio's guides do", () => {
  const parsed = parseMeshConfig({
    extension_providers: [
      { name: "authz", envoyExtAuthzGrpc: { service: "ext-authz.foo.svc.cluster.local", port: "9000" } },
      { name: "otel", opentelemetry: { service: "otel.obs", port: 4317, resource_detectors: { environment: {} } } },
    ],
    default_config: { tracing: { sampling: "12.5" }, gateway_topology: { num_trusted_proxies: "2" } },
    mesh_mTLS: { min_protocol_version: "TLSV1_3" },
  });
  assert.deepEqual([parsed.errors, parsed.warnings], [[], []]);
  const { extensionProviders, defaultConfig, meshMutualTls } = parsed.value ?? assert.fail();
  assert.deepEqual(
    extensionProviders.map(({ name }) => name),
    ["authz", "otel"],
  );
  assert.equal(defaultConfig.gatewayTopology.numTrustedProxies, 2);
  assert.equal(defaultConfig.tracing?.samplingPercent, 12.5);
  assert.equal(meshMutualTls.minProtocolVersion, "TLSV1_3");
});

test("text in quotes that is no number is still refused where a number belongs", () => {
  const provider = (port: unknown): unknown => ({
    extensionProviders: [{ name: "a", envoyExtAuthzGrpc: { service: "a.b", port } }],
  });
  for (const port of ["", "nine", "0x10", " 9000", "9000.5", "1e400"])
    assert.equal(parseMeshConfig(provider(port)).errors.length > 0, true, JSON.stringify(port));
});

test("keys of labels, of environment variables and of other maps keep their form", () => {
  const settings = {
    proxyMetadata: { my_variable: "a_b" },
    discovery_selectors: [{ match_labels: { my_team: "x" } }],
    tracing: { custom_tags: { my_tag: { header: { name: "a", default_value: "b" } } } },
  };
  assert.deepEqual(withJsonNames(settings), {
    proxyMetadata: { my_variable: "a_b" },
    discoverySelectors: [{ matchLabels: { my_team: "x" } }],
    tracing: { customTags: { my_tag: { header: { name: "a", defaultValue: "b" } } } },
  });
  const { value } = parseMeshNetworks({ networks: { my_net: { endpoints: [{ from_registry: "c1" }], gateways: [] } } });
  assert.deepEqual(value?.["my_net"]?.registries, ["c1"]);
});

test("a field that is given by both of its names is reported", () => {
  const { warnings } = parseMeshConfig({ accessLogFile: "/dev/stdout", access_log_file: "/dev/null" });
  assert.deepEqual(
    warnings.map(({ path }) => path),
    ["access_log_file"],
  );
});
