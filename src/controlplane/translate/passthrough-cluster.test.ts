import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBinary, toJson, type JsonObject } from "@bufbuild/protobuf";
import { parseMeshConfig } from "../../api/istio/index.ts";
import { ClusterSchema, HttpProtocolOptionsSchema, type Cluster } from "../../wire/envoy/index.ts";
import { meshSettings } from "../mesh-settings.ts";
import { testMesh } from "../testing/model-fixture.ts";
import { httpOptionsName } from "./cluster.ts";
import { inboundPassthrough } from "./inbound/inbound-cluster.ts";
import { passthroughCluster } from "./passthrough-cluster.ts";

function clustersOf(mesh: object) {
  const { value } = parseMeshConfig(mesh);
  assert.ok(value);
  const settings = meshSettings(value, testMesh);
  return [passthroughCluster(settings), inboundPassthrough(settings)].map((cluster) => {
    const { name, connectTimeout, circuitBreakers, upstreamConnectionOptions } = toJson(ClusterSchema, {
      ...cluster,
      filters: [],
      typedExtensionProtocolOptions: {},
    }) as JsonObject;
    return { name, connectTimeout, circuitBreakers, upstreamConnectionOptions, http: httpOf(cluster) };
  });
}

function httpOf({ typedExtensionProtocolOptions }: Cluster): unknown {
  const options = typedExtensionProtocolOptions[httpOptionsName]?.value ?? assert.fail();
  return toJson(HttpProtocolOptionsSchema, fromBinary(HttpProtocolOptionsSchema, options));
}

const unlimited = 4_294_967_295;
const limits = {
  maxConnections: unlimited,
  maxPendingRequests: unlimited,
  maxRequests: unlimited,
  maxRetries: unlimited,
};
const plain = {
  connectTimeout: "10s",
  circuitBreakers: { thresholds: [limits] },
  upstreamConnectionOptions: undefined,
  http: {
    commonHttpProtocolOptions: { idleTimeout: "300s" },
    useDownstreamProtocolConfig: { httpProtocolOptions: {}, http2ProtocolOptions: {} },
  },
};
const both = (wanted: object): object[] =>
  ["PassthroughCluster", "InboundPassthroughCluster"].map((name) => ({ name, ...plain, ...wanted }));

test("connections to unknown destinations, of both directions, have the mesh's keepalive", () => {
  assert.deepEqual(clustersOf({}), both({}));
  const tcpKeepalive = { keepaliveProbes: 9, keepaliveTime: 300, keepaliveInterval: 20 };
  assert.deepEqual(
    clustersOf({ tcpKeepalive: { probes: 9, time: "300s", interval: "20s" } }),
    both({ upstreamConnectionOptions: { tcpKeepalive } }),
  );
});

test("the mesh's default pool limits connections to unknown destinations; their HTTP options stay", () => {
  const connectionPool = {
    tcp: { maxConnections: 33, connectTimeout: "3s", tcpKeepalive: { probes: 2 } },
    http: {
      http2MaxRequests: 34,
      http1MaxPendingRequests: 35,
      maxRetries: 36,
      idleTimeout: "7s",
      maxRequestsPerConnection: 8,
    },
  };
  const defaultTrafficPolicy = { connectionPool, outlierDetection: { consecutive5xxErrors: 3 } };
  assert.deepEqual(
    clustersOf({ tcpKeepalive: { probes: 9, time: "300s" }, defaultTrafficPolicy }),
    both({
      connectTimeout: "3s",
      circuitBreakers: {
        thresholds: [{ maxConnections: 33, maxPendingRequests: 35, maxRequests: 34, maxRetries: 36 }],
      },
      upstreamConnectionOptions: { tcpKeepalive: { keepaliveProbes: 2, keepaliveTime: 300 } },
    }),
  );
});
