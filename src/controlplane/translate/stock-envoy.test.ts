import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type JsonObject } from "@bufbuild/protobuf";
import { ClusterSchema, ListenerSchema } from "../../wire/envoy/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { decodeResource } from "../testing/decode-resource.ts";
import { testMesh } from "../testing/model-fixture.ts";
import { connectTerminateListener } from "./inbound/inbound-hbone.ts";
import { gatewayListener } from "./gateway/gateway-listener.ts";
import { httpConnectionManagerFilter } from "./http-connection-manager.ts";
import { passthroughCluster } from "./passthrough-cluster.ts";
import { encodeResource } from "./resource.ts";
import { withoutIstioFilters } from "./stock-envoy.ts";

test("an Envoy without Istio's filters gets all configuration except these filters", () => {
  const manager = httpConnectionManagerFilter({
    direction: "gateway",
    statPrefix: "x",
    mesh: testMesh,
    routes: { rds: "http.80" },
  });
  const listener = encodeResource(
    ListenerSchema,
    "l",
    gatewayListener("0.0.0.0", 80, [{ serverNames: [], filters: [manager] }], {
      mesh: testMesh,
      telemetry: { accessLogs: [] },
    }),
  );
  const stripped = withoutIstioFilters(typeUrls.listener, listener);
  const chains = decodeResource(ListenerSchema, stripped)["filterChains"] as {
    filters: { typedConfig: { httpFilters: JsonObject[] } }[];
  }[];
  assert.deepEqual(
    chains[0]?.filters[0]?.typedConfig.httpFilters.map((filter) => filter["name"]),
    ["grpc_stats", "fault", "cors", "router"].map((name) => `envoy.filters.http.${name}`),
  );
  assert.equal(withoutIstioFilters(typeUrls.listener, listener), stripped, "made once");
  assert.notEqual(stripped.version, listener.version);
  assert.equal(withoutIstioFilters(typeUrls.route, listener), listener);
});

test("an Envoy without Istio's filters gets no configuration for the labels that proxies exchange", () => {
  const mesh = { ...testMesh, exchangedLabels: ["role"] };
  const cluster = encodeResource(ClusterSchema, "c", passthroughCluster(mesh));
  assert.match(JSON.stringify(decodeResource(ClusterSchema, cluster)), /"role"/);
  const stripped = decodeResource(ClusterSchema, withoutIstioFilters(typeUrls.cluster, cluster));
  assert.equal(stripped["filters"], undefined);
  assert.doesNotMatch(JSON.stringify(stripped), /"role"|metadata_?exchange/i);
});

test("a tunnel's filter state uses a type that every Envoy has", () => {
  const message = create(ListenerSchema, connectTerminateListener(testMesh, "0.0.0.0"));
  const text = JSON.stringify(
    decodeResource(
      ListenerSchema,
      withoutIstioFilters(typeUrls.listener, encodeResource(ListenerSchema, "l", message)),
    ),
  );
  assert.ok(
    text.includes('"envoy.string"') &&
      !text.includes("istio.hashable_string") &&
      !text.includes("peer_metadata.Config"),
    text,
  );
});
