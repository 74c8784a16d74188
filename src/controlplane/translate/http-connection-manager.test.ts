import assert from "node:assert/strict";
import { test } from "node:test";
import { create, toJson, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { envoyRegistry, HttpConnectionManagerSchema, ListenerSchema } from "../../wire/envoy/index.ts";
import { valueAt } from "../testing/decode-resource.ts";
import { testMesh } from "../testing/model-fixture.ts";
import { httpConnectionManager, type HttpConnectionManagerOptions } from "./http-connection-manager.ts";
import { connectTerminateListener } from "./inbound/inbound-hbone.ts";

function manager(options: Partial<HttpConnectionManagerOptions>): JsonObject {
  const message = create(
    HttpConnectionManagerSchema,
    httpConnectionManager({
      direction: "outbound",
      statPrefix: "outbound_0.0.0.0_80",
      mesh: testMesh,
      routes: { rds: "80" },
      ...options,
    }),
  );
  return toJson(HttpConnectionManagerSchema, message, { registry: envoyRegistry() }) as JsonObject;
}

function filterNames(options: Partial<HttpConnectionManagerOptions>): readonly string[] {
  return (manager(options)["httpFilters"] as JsonObject[]).map((filter) =>
    (filter["name"] as string).replace("envoy.filters.http.", ""),
  );
}

test("filters are in the order of their dependencies, for each direction", () => {
  const security = [
    {
      name: "envoy.filters.http.rbac",
      configType: {
        case: "typedConfig",
        value: { $typeName: "google.protobuf.Any", typeUrl: "", value: new Uint8Array() },
      },
    },
  ] as const;
  assert.deepEqual(filterNames({}), [
    "istio.metadata_exchange",
    "grpc_stats",
    "istio.alpn",
    "fault",
    "cors",
    "istio.stats",
    "router",
  ]);
  const names = (direction: HttpConnectionManagerOptions["direction"]): readonly string[] =>
    httpConnectionManager({
      direction,
      statPrefix: "x",
      mesh: testMesh,
      routes: { rds: "80" },
      security,
    }).httpFilters?.map((filter) => (filter.name ?? "").replace("envoy.filters.http.", "")) ?? [];
  assert.deepEqual(names("inbound"), [
    "istio.metadata_exchange",
    "rbac",
    "grpc_stats",
    "fault",
    "cors",
    "istio.stats",
    "router",
  ]);
  assert.deepEqual(names("gateway"), [
    "istio.metadata_exchange",
    "rbac",
    "grpc_stats",
    "istio.alpn",
    "fault",
    "cors",
    "istio.stats",
    "router",
  ]);
  assert.deepEqual(names("waypoint"), [
    "rbac",
    "grpc_stats",
    "fault",
    "cors",
    "waypoint_upstream_peer_metadata",
    "istio.stats",
    "router",
  ]);
  assert.deepEqual(filterNames({ grpcWeb: true }).slice(0, 3), ["istio.metadata_exchange", "grpc_web", "grpc_stats"]);
});

test("a client certificate is forwarded to an application, replaced at a gateway, and omitted by a client's own proxy", () => {
  const forwardingOf = (direction: HttpConnectionManagerOptions["direction"]): unknown => {
    const { forwardClientCertDetails, setCurrentClientCertDetails, useRemoteAddress, serverName } = manager({
      direction,
    });
    return [forwardClientCertDetails, setCurrentClientCertDetails, useRemoteAddress, serverName];
  };
  assert.deepEqual(forwardingOf("outbound"), [undefined, undefined, false, undefined]);
  assert.deepEqual(forwardingOf("inbound"), [
    "APPEND_FORWARD",
    { subject: true, dns: true, uri: true },
    false,
    "istio-envoy",
  ]);
  assert.deepEqual(forwardingOf("gateway"), [
    "SANITIZE_SET",
    { subject: true, cert: true, dns: true, uri: true },
    true,
    "istio-envoy",
  ]);
  assert.deepEqual(forwardingOf("waypoint"), [undefined, undefined, false, "istio-envoy"]);
});

test("the mesh config adds and removes details of a client certificate for applications", () => {
  const mesh = {
    ...testMesh,
    proxyHeaders: { ...testMesh.proxyHeaders, clientCertificateDetails: { dns: false, cert: true } },
  };
  assert.deepEqual(manager({ direction: "inbound", mesh })["setCurrentClientCertDetails"], {
    subject: true,
    cert: true,
    uri: true,
  });
});

test("the mesh config's header settings also apply to an application's own requests and at the end of tunnels", () => {
  const mesh = {
    ...testMesh,
    proxyHeaders: {
      ...testMesh.proxyHeaders,
      serverValue: "own",
      requestIdDisabled: true,
      forwardedClientCert: "SANITIZE",
      envoyDebugHeadersDisabled: true,
    },
  } as const;
  assert.equal(manager({ mesh })["serverName"], "own");
  const tunnel = toJson(ListenerSchema, connectTerminateListener(mesh, "0.0.0.0"), { registry: envoyRegistry() });
  const {
    serverName,
    generateRequestId,
    forwardClientCertDetails = "SANITIZE",
    httpFilters,
  } = valueAt(tunnel, "filterChains", 0, "filters", 0, "typedConfig") as Record<string, JsonValue>;
  assert.deepEqual(
    [
      serverName,
      generateRequestId,
      forwardClientCertDetails,
      valueAt(httpFilters, 2, "typedConfig", "suppressEnvoyHeaders"),
    ],
    ["own", false, "SANITIZE", true],
  );
});

test("names of HTTP/1 headers keep their case in every direction, if the mesh config says so", () => {
  const mesh = { ...testMesh, proxyHeaders: { ...testMesh.proxyHeaders, preserveHttp1HeaderCase: true } };
  const formatter = {
    name: "preserve_case",
    typedConfig: {
      "@type":
        "type.googleapis.com/envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig",
    },
  };
  for (const direction of ["outbound", "inbound", "gateway", "waypoint"] as const) {
    assert.equal(valueAt(manager({ direction }), "httpProtocolOptions", "headerKeyFormat"), undefined, direction);
    assert.deepEqual(
      valueAt(manager({ direction, mesh }), "httpProtocolOptions", "headerKeyFormat", "statefulFormatter"),
      formatter,
      direction,
    );
  }
});

test("the mesh config sets path normalization and access logs", () => {
  const mesh = {
    ...testMesh,
    pathNormalization: "DECODE_AND_MERGE_SLASHES",
    accessLogFile: "/dev/stdout",
    accessLogEncoding: "JSON",
    accessLogFormat: '{"at":"%START_TIME%"}',
  } as const;
  const decoded = manager({ mesh });
  assert.deepEqual(
    [decoded["normalizePath"], decoded["mergeSlashes"], decoded["pathWithEscapedSlashesAction"]],
    [true, true, "UNESCAPE_AND_FORWARD"],
  );
  assert.deepEqual(valueAt(decoded, "accessLog", 0, "typedConfig", "logFormat", "jsonFormat"), { at: "%START_TIME%" });
  const text = valueAt(
    manager({ mesh: { ...testMesh, accessLogFile: "/dev/stdout" } }),
    "accessLog",
    0,
    "typedConfig",
    "logFormat",
    "textFormatSource",
    "inlineString",
  );
  assert.match(text as string, /%UPSTREAM_CLUSTER_RAW% .*%ROUTE_NAME%\n$/);
  assert.deepEqual(manager({})["accessLog"], undefined);
});
