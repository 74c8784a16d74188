import assert from "node:assert/strict";
import { test } from "node:test";
import { create, toJson, type JsonObject } from "@bufbuild/protobuf";
import { parseMeshConfig, readOwnProxyConfig, withOwnProxyConfig } from "../../api/istio/index.ts";
import { envoyRegistry, HttpConnectionManagerSchema } from "../../wire/envoy/index.ts";
import type { MeshSettings } from "../model/facts.ts";
import { testMesh } from "../testing/model-fixture.ts";
import { tcpIdleTimeout } from "./connection-settings.ts";
import { gatewayListener } from "./gateway/gateway-listener.ts";
import { httpConnectionManager, type HttpConnectionManagerOptions } from "./http-connection-manager.ts";

function meshWith(connectionSettings: object, mesh: Partial<MeshSettings> = {}): MeshSettings {
  const { value, errors } = parseMeshConfig({ defaultConfig: { connectionSettings } });
  assert.deepEqual(errors, []);
  return { ...testMesh, ...mesh, connectionSettings: value?.defaultConfig.connectionSettings };
}

function manager(
  mesh: MeshSettings,
  direction: HttpConnectionManagerOptions["direction"],
  fields: HttpConnectionManagerOptions["fields"] = {},
): JsonObject {
  const init = httpConnectionManager({ direction, statPrefix: "x", mesh, routes: { rds: "80" }, fields });
  return toJson(HttpConnectionManagerSchema, create(HttpConnectionManagerSchema, init), {
    registry: envoyRegistry(),
  }) as JsonObject;
}

function changed(mesh: MeshSettings, direction: HttpConnectionManagerOptions["direction"]): JsonObject {
  const before = manager(testMesh, direction);
  const entries = Object.entries(manager(mesh, direction));
  return Object.fromEntries(entries.filter(([name, value]) => JSON.stringify(before[name]) !== JSON.stringify(value)));
}

const bufferOf = (mesh: MeshSettings): number | undefined =>
  gatewayListener("0.0.0.0", 80, [{ serverNames: [], filters: [] }], { mesh, telemetry: { accessLogs: [] } })
    .perConnectionBufferLimitBytes;

const edge: JsonObject = {
  commonHttpProtocolOptions: { idleTimeout: "3600s", headersWithUnderscoresAction: "REJECT_REQUEST" },
  http2ProtocolOptions: {
    maxConcurrentStreams: 100,
    initialStreamWindowSize: 65_536,
    initialConnectionWindowSize: 1_048_576,
  },
  streamIdleTimeout: "300s",
  requestTimeout: "300s",
  requestHeadersTimeout: "60s",
  mergeSlashes: true,
  pathWithEscapedSlashesAction: "UNESCAPE_AND_REDIRECT",
};

test("each setting reaches the connections of every proxy", () => {
  const mesh = meshWith({
    httpIdleTimeout: "90s",
    httpMaxConnectionDuration: "1h",
    httpDrainTimeout: "0s",
    httpRequestTimeout: "10s",
    httpRequestHeadersTimeout: "1.5s",
    httpStreamIdleTimeout: "20s",
    httpMaxStreamDuration: "30s",
    httpMaxConcurrentStreams: 7,
    http2InitialStreamWindowSize: 65_535,
    http2InitialConnectionWindowSize: 131_072,
    httpHeadersWithUnderscoresAction: "HEADERS_WITH_UNDERSCORES_DROP_HEADER",
    httpMergeSlashes: true,
    httpPathWithEscapedSlashesAction: "REJECT_REQUEST",
  });
  for (const direction of ["outbound", "inbound", "gateway", "waypoint"] as const)
    assert.deepEqual(
      changed(mesh, direction),
      {
        commonHttpProtocolOptions: {
          idleTimeout: "90s",
          maxConnectionDuration: "3600s",
          maxStreamDuration: "30s",
          headersWithUnderscoresAction: "DROP_HEADER",
        },
        http2ProtocolOptions: {
          maxConcurrentStreams: 7,
          initialStreamWindowSize: 65_535,
          initialConnectionWindowSize: 131_072,
        },
        streamIdleTimeout: "20s",
        requestTimeout: "10s",
        requestHeadersTimeout: "1.500s",
        drainTimeout: "0s",
        mergeSlashes: true,
        pathWithEscapedSlashesAction: "REJECT_REQUEST",
      },
      direction,
    );
});

test("the profile EDGE affects gateways alone, and a set field overrides it", () => {
  const profile = meshWith({ profile: "EDGE" });
  assert.deepEqual(changed(profile, "gateway"), edge);
  for (const direction of ["outbound", "inbound", "waypoint"] as const)
    assert.deepEqual(changed(profile, direction), {}, direction);
  assert.deepEqual([bufferOf(testMesh), bufferOf(profile)], [undefined, 32_768]);

  const own = meshWith({
    profile: "EDGE",
    listenerPerConnectionBufferLimitBytes: 4096,
    httpStreamIdleTimeout: "0s",
    httpMergeSlashes: false,
    httpHeadersWithUnderscoresAction: "HEADERS_WITH_UNDERSCORES_ALLOW",
    httpPathWithEscapedSlashesAction: "KEEP_UNCHANGED",
  });
  const { streamIdleTimeout, mergeSlashes, pathWithEscapedSlashesAction, ...rest } = edge;
  assert.deepEqual(
    [typeof streamIdleTimeout, mergeSlashes, pathWithEscapedSlashesAction],
    ["string", true, "UNESCAPE_AND_REDIRECT"],
  );
  assert.deepEqual(changed(own, "gateway"), { ...rest, commonHttpProtocolOptions: { idleTimeout: "3600s" } });
  assert.equal(bufferOf(own), 4096);
});

test("settings for paths override the mesh's path normalization, and other settings leave it", () => {
  const decoding = { pathNormalization: "DECODE_AND_MERGE_SLASHES" } as const;
  const paths = (settings: object): readonly unknown[] => {
    const { mergeSlashes, pathWithEscapedSlashesAction } = manager(meshWith(settings, decoding), "gateway");
    return [mergeSlashes, pathWithEscapedSlashesAction];
  };
  assert.deepEqual(paths({ httpIdleTimeout: "1s" }), [true, "UNESCAPE_AND_FORWARD"]);
  assert.deepEqual(paths({ httpMergeSlashes: false }), [undefined, "UNESCAPE_AND_FORWARD"]);
  assert.deepEqual(paths({ httpPathWithEscapedSlashesAction: "KEEP_UNCHANGED" }), [true, "KEEP_UNCHANGED"]);
});

test("the options that a listener has for HTTP/2 stay beside the settings", () => {
  const fields = { http2ProtocolOptions: { allowConnect: true } };
  assert.deepEqual(manager(meshWith({ httpMaxConcurrentStreams: 9 }), "inbound", fields)["http2ProtocolOptions"], {
    allowConnect: true,
    maxConcurrentStreams: 9,
  });
  assert.deepEqual(manager(meshWith({ httpIdleTimeout: "1s" }), "inbound", fields)["http2ProtocolOptions"], {
    allowConnect: true,
  });
});

test("a pod's own settings replace those of the mesh as a whole", () => {
  const mesh = meshWith({ profile: "EDGE", httpRequestTimeout: "7s" });
  const own = readOwnProxyConfig({ connectionSettings: { httpIdleTimeout: "2s" } });
  assert.deepEqual(changed(withOwnProxyConfig(mesh, own), "gateway"), {
    commonHttpProtocolOptions: { idleTimeout: "2s" },
  });
  assert.equal(
    changed(withOwnProxyConfig(mesh, readOwnProxyConfig({ tracing: {} })), "gateway")["requestTimeout"],
    "7s",
  );
});

test("values that upstream refuses are errors at their fields, and fields without effect are named", () => {
  const read = (connectionSettings: object): readonly string[] => {
    const { errors, warnings } = parseMeshConfig({ defaultConfig: { connectionSettings } });
    return [...errors, ...warnings].map(({ path, message }) => `${path.split(".").at(-1) ?? ""} ${message}`);
  };
  assert.deepEqual(
    read({
      profile: "edge",
      httpIdleTimeout: "-1s",
      httpMaxConcurrentStreams: 0,
      http2InitialStreamWindowSize: 1024,
      listenerConnectionLimit: 0,
      httpPathWithEscapedSlashesAction: "DECODE",
    }),
    [
      'profile must be one of SIDECAR, EDGE, got "edge"',
      'httpIdleTimeout must be at least 0ms, got "-1s"',
      "httpMaxConcurrentStreams must be from 1 to 2147483647, got 0",
      "http2InitialStreamWindowSize must be from 65535 to 2147483647, got 1024",
      'httpPathWithEscapedSlashesAction must be one of PATH_WITH_ESCAPED_SLASHES_UNSPECIFIED, KEEP_UNCHANGED, REJECT_REQUEST, UNESCAPE_AND_REDIRECT, UNESCAPE_AND_FORWARD, got "DECODE"',
      "listenerConnectionLimit must be from 1 to 2147483647, got 0",
      "listenerConnectionLimit has no effect here",
      "http2InitialStreamWindowSize has an effect only in Envoy, not in Serin's own proxy",
    ],
  );
  assert.deepEqual(read({ httpMaxStreamDuration: "1s", globalDownstreamConnectionLimit: 5, buffers: 1 }), [
    "globalDownstreamConnectionLimit has no effect here",
    "buffers is not known and has no effect",
  ]);
});

test("the variable ISTIO_META_IDLE_TIMEOUT of a proxy bounds idle connections, unless a policy or setting says more", () => {
  const mesh = withOwnProxyConfig(testMesh, { idleTimeoutMs: 0 });
  for (const direction of ["outbound", "inbound", "gateway", "waypoint"] as const)
    assert.deepEqual(changed(mesh, direction), { commonHttpProtocolOptions: { idleTimeout: "0s" } }, direction);
  const both = { ...meshWith({ httpIdleTimeout: "9s" }), idleTimeoutMs: 0 };
  assert.deepEqual(changed(both, "gateway"), { commonHttpProtocolOptions: { idleTimeout: "9s" } });
  const ofPolicy = tcpIdleTimeout({ idleTimeoutMs: 86_400_000 }, 5000).idleTimeout?.seconds;
  const ofProxy = tcpIdleTimeout({ idleTimeoutMs: 86_400_000 }).idleTimeout?.seconds;
  assert.deepEqual([ofPolicy, ofProxy, tcpIdleTimeout({})], [5n, 86_400n, {}]);
});

test("HTTP/1.0 is accepted if the mesh or the proxy says so, and names of headers may keep their case as well", () => {
  const options = (mesh: MeshSettings, direction: HttpConnectionManagerOptions["direction"]): unknown =>
    manager(mesh, direction)["httpProtocolOptions"];
  const accepting = { ...testMesh, acceptsHttp10: true };
  for (const direction of ["outbound", "inbound", "gateway", "waypoint"] as const) {
    assert.deepEqual(options(testMesh, direction), direction === "gateway" ? {} : undefined, direction);
    assert.deepEqual(options(accepting, direction), { acceptHttp10: true }, direction);
  }
  const proxyHeaders = { ...testMesh.proxyHeaders, preserveHttp1HeaderCase: true };
  const both = options({ ...accepting, proxyHeaders }, "outbound") as JsonObject;
  assert.deepEqual([Object.keys(both).sort(), both["acceptHttp10"]], [["acceptHttp10", "headerKeyFormat"], true]);
});
