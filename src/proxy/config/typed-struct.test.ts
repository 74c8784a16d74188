import assert from "node:assert/strict";
import { test } from "node:test";
import { fromJson, toJson, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import {
  AccessLogSchema,
  ClusterSchema,
  envoyRegistry,
  HttpConnectionManagerSchema,
  ListenerSchema,
  RetryPolicySchema,
} from "../../wire/envoy/index.ts";
import { connectionManager, metadataExchange, router } from "../testing/mesh-config.ts";
import { plainRecord } from "../testing/plain-record.ts";
import { resourceJson } from "../admin/resource-json.ts";
import { compileAccessLogs } from "./access-logs/access-log-config.ts";
import { compileCluster } from "./clusters/cluster-config.ts";
import { ConfigNotes } from "./config-check.ts";
import { compileHttpFilters } from "./filters/http-filter-config.ts";
import { compileListener } from "./listeners/listener-config.ts";
import { compileRetry } from "./routing/retry-config.ts";
import { typedJsonOf, unpack } from "./typed-struct.ts";

const notes = new ConfigNotes(() => undefined);
const registry = envoyRegistry();
const url = "type.googleapis.com";
const packages = ["udpa.type.v1", "xds.type.v3"] as const;

function forms(type: string, value: JsonObject): JsonObject[] {
  return [
    { "@type": `${url}/${type}`, ...value },
    ...packages.map((name) => ({ "@type": `${url}/${name}.TypedStruct`, typeUrl: `${url}/${type}`, value })),
  ];
}

test("an access log and its filter may be TypedStructs", () => {
  const logs = forms("envoy.extensions.access_loggers.file.v3.FileAccessLog", {
    path: "/dev/stdout",
    log_format: { text_format_source: { inline_string: "%REQ(:METHOD)%\n" } },
  });
  const filters = forms("envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter", {
    expression: "request.method == 'PUT'",
  });
  for (const [index, typedConfig] of logs.entries()) {
    const log = { typedConfig, filter: { extensionFilter: { name: "cel", typedConfig: filters[index] ?? null } } };
    const [spec] = compileAccessLogs([fromJson(AccessLogSchema, log, { registry })], "test", notes);
    const captured = { request: new Map<string, number>(), response: new Map<string, number>() };
    assert.equal(spec?.path, "/dev/stdout");
    assert.equal(spec.wants?.(plainRecord, captured), false);
    assert.equal(spec.wants({ ...plainRecord, method: "PUT" }, captured), true);
  }
});

const tls = (type: "UpstreamTlsContext" | "DownstreamTlsContext", value: JsonObject): JsonObject[] =>
  forms(`envoy.extensions.transport_sockets.tls.v3.${type}`, value).map((typedConfig) => ({
    name: "envoy.transport_sockets.tls",
    typedConfig,
  }));

test("a cluster's transport sockets and protocol options may be TypedStructs", () => {
  const sockets = tls("UpstreamTlsContext", { sni: "shop.test" });
  const options = forms("envoy.extensions.upstreams.http.v3.HttpProtocolOptions", {
    explicit_http_config: { http2_protocol_options: {} },
    upstream_http_protocol_options: { auto_sni: true, auto_san_validation: true },
  });
  for (const [index, transportSocket] of sockets.entries()) {
    const cluster: JsonObject = {
      name: "c",
      type: "EDS",
      transportSocketMatches: [{ name: "tls", match: { tls: "yes" }, transportSocket }],
      transportSocket,
      typedExtensionProtocolOptions: {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options[index] ?? null,
      },
    };
    const { config, transports } = compileCluster(fromJson(ClusterSchema, cluster, { registry }), notes);
    assert.equal(config.upstreamProtocol, "http2");
    for (const metadata of [{}, { tls: "yes" }]) {
      const chosen = transports.choose(metadata);
      assert.ok(chosen.kind === "tls");
      assert.equal(chosen.tls.serverName, "shop.test");
      assert.equal(chosen.tls.verifiesServerName, true);
    }
  }
});

function compileWith(config: JsonObject) {
  const listener = { name: "l", address: { socketAddress: { address: "0.0.0.0", portValue: 80 } }, ...config };
  return compileListener(fromJson(ListenerSchema, listener, { registry }), notes);
}

test("a listener's transport sockets and listener filters may be TypedStructs", () => {
  const sockets = tls("DownstreamTlsContext", {
    require_client_certificate: true,
    common_tls_context: {
      tls_certificate_sds_secret_configs: [{ name: "kubernetes://c", sds_config: { ads: {} } }],
      validation_context_sds_secret_config: { name: "kubernetes://r", sds_config: { ads: {} } },
    },
  });
  const proxied = forms("envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol", {
    disallowed_versions: ["V1"],
  });
  for (const [index, transportSocket] of sockets.entries()) {
    const { chains, inspectors } = compileWith({
      listenerFilters: [{ name: "envoy.filters.listener.proxy_protocol", typedConfig: proxied[index] ?? null }],
      filterChains: [
        {
          transportSocket,
          filters: [connectionManager({ routeConfig: { name: "r" }, httpFilters: [router] })],
        },
      ],
    });
    assert.equal(chains[0]?.tls?.clientCertificate, "require");
    assert.deepEqual([...(inspectors[0]?.headers?.versions ?? [])], [2]);
  }
});

test("a filter of HTTP may be a TypedStruct of either package, also one that only a TypedStruct describes", () => {
  const compile = (name: string, typedConfig: JsonValue) => {
    const { httpFilters } = fromJson(
      HttpConnectionManagerSchema,
      { httpFilters: [{ name, typedConfig }] },
      { registry },
    );
    return compileHttpFilters(httpFilters, "", "test", notes);
  };
  for (const typedConfig of forms("envoy.extensions.filters.http.grpc_web.v3.GrpcWeb", {}))
    assert.equal(compile("web", typedConfig).filters.length, 1);
  const config = { downstream_propagation: [{ istio_headers: {} }], additional_labels: ["tier", "app", "role", 1] };
  const exchange = metadataExchange(config) as { readonly typedConfig: JsonObject };
  for (const name of packages) {
    const typedConfig = { ...exchange.typedConfig, "@type": `${url}/${name}.TypedStruct` };
    const { peerMetadata } = compile("istio.metadata_exchange", typedConfig);
    assert.deepEqual([peerMetadata.writeToClient, peerMetadata.labelNames], [true, ["role", "tier"]]);
    const module = {
      ...typedConfig,
      typeUrl: `${url}/envoy.extensions.filters.http.wasm.v3.Wasm`,
      value: { config: { name: "m" } },
    };
    assert.throws(() => compile("wasm", module), /config\.vmConfig must be set/);
  }
});

test("a retry's choice of priorities may be a TypedStruct", () => {
  const configs = forms("envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig", {
    update_frequency: 3,
  });
  for (const typedConfig of configs) {
    const retryPriority = { name: "envoy.retry_priorities.previous_priorities", typedConfig };
    const message = fromJson(RetryPolicySchema, { retryPriority }, { registry });
    assert.equal(compileRetry(message, "test", notes).otherPrioritiesAfter, 3);
  }
});

test("a TypedStruct of another type, or with an unknown field, is refused, and the error names it", () => {
  for (const name of packages) {
    const typed = (type: string, value: JsonObject = {}): JsonObject => ({
      "@type": `${url}/${name}.TypedStruct`,
      typeUrl: `${url}/${type}`,
      value,
    });
    const log = (typedConfig: JsonObject) => () =>
      compileAccessLogs([fromJson(AccessLogSchema, { name: "a", typedConfig }, { registry })], "test", notes);
    assert.throws(log(typed("my.Log")), /test: accessLog a: my\.Log is not supported/);
    const file = "envoy.extensions.access_loggers.file.v3.FileAccessLog";
    assert.throws(log(typed(file, { file: "x" })), /test: accessLog a: .*"file" is unknown/);
    const cluster = (more: JsonObject) => () =>
      compileCluster(fromJson(ClusterSchema, { name: "c", type: "EDS", ...more }, { registry }), notes);
    assert.throws(
      cluster({ transportSocket: { name: "t", typedConfig: typed("my.Socket") } }),
      /transportSocket: the transport socket type\.googleapis\.com\/my\.Socket is not supported/,
    );
    const key = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    assert.throws(
      cluster({ typedExtensionProtocolOptions: { [key]: typed("my.Options") } }),
      /typedExtensionProtocolOptions envoy\.extensions\.upstreams.* is not supported/,
    );
  }
});

test("a config dump shows TypedStructs of both packages", () => {
  for (const name of packages) {
    const json = { "@type": `${url}/${name}.TypedStruct`, type_url: `${url}/my.Filter`, value: { a: [1] } };
    const any = fromJson(AnySchema, json, { registry });
    assert.deepEqual(resourceJson(AnySchema, any), json);
    assert.deepEqual(toJson(AnySchema, any, { registry, useProtoFieldName: true }), json);
    assert.deepEqual(typedJsonOf(any), { typeUrl: `${url}/my.Filter`, value: { a: [1] } });
    assert.equal(unpack(any, "test")?.$typeName, `${name}.TypedStruct`);
  }
});
