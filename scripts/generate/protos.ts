// Generates `generated/proto/` from the descriptors in pinned Go modules (scripts/generate/protos/go.mod) and from our
// .proto files. It keeps only the messages that the doors of src/wire export, because all of Envoy's messages would
// cost each proxy 30 MB. Needs Go and npx. Run `node scripts/generate/protos.ts` after changing a list or a pin.
import { execFileSync } from "node:child_process";
import { copyFileSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { CodeGeneratorResponseSchema } from "@bufbuild/protobuf/wkt";
import { fileDescriptionModule, withOwnFileDescription } from "./protos/own-file-description.ts";

const generator = "@bufbuild/protoc-gen-es@2.17.0";

/** Our own .proto files, by import path. We wrote them from the facts of the resource types and did not copy them. */
const ours: Readonly<Record<string, string>> = {
  "istio/workload/workload.proto": "src/wire/workload/workload.proto",
  "istio/security/authorization.proto": "src/wire/workload/authorization.proto",
  "istio/networking/nds/v1/name-table.proto": "src/wire/discovery/name-table.proto",
  "istio/mesh/v1alpha1/proxy-config.proto": "src/wire/discovery/proxy-config.proto",
};

const core = [
  "address",
  "backoff",
  "base",
  "config_source",
  "extension",
  "grpc_service",
  "health_check",
  "http_uri",
  "protocol",
  "resolver",
  "socket_option",
  "substitution_format_string",
];

/**
 * The files of Envoy's API with the types that Serin reads or writes. Fields of other types are left out of the
 * generated messages.
 */
const linked: readonly string[] = [
  ...core.map((file) => `envoy/config/core/v3/${file}.proto`),
  "envoy/config/core/v3/proxy_protocol.proto",
  "envoy/config/core/v3/event_service_config.proto",
  "envoy/config/core/v3/http_service.proto",
  "envoy/config/trace/v3/datadog.proto",
  "envoy/config/trace/v3/http_tracer.proto",
  "envoy/config/trace/v3/opentelemetry.proto",
  "envoy/config/trace/v3/skywalking.proto",
  "envoy/config/trace/v3/zipkin.proto",
  "envoy/service/discovery/v3/discovery.proto",
  "envoy/config/cluster/v3/circuit_breaker.proto",
  "envoy/config/cluster/v3/cluster.proto",
  "envoy/config/cluster/v3/filter.proto",
  "envoy/config/cluster/v3/outlier_detection.proto",
  "envoy/config/common/mutation_rules/v3/mutation_rules.proto",
  "envoy/config/endpoint/v3/endpoint.proto",
  "envoy/config/endpoint/v3/endpoint_components.proto",
  "envoy/config/listener/v3/listener.proto",
  "envoy/config/listener/v3/listener_components.proto",
  "envoy/config/route/v3/route.proto",
  "envoy/config/route/v3/route_components.proto",
  "envoy/config/accesslog/v3/accesslog.proto",
  "envoy/config/ratelimit/v3/rls.proto",
  "envoy/config/rbac/v3/rbac.proto",
  "envoy/type/http/v3/cookie.proto",
  "envoy/type/matcher/v3/filter_state.proto",
  "envoy/type/matcher/v3/address.proto",
  "envoy/type/matcher/v3/metadata.proto",
  "envoy/type/matcher/v3/number.proto",
  "envoy/type/matcher/v3/path.proto",
  "envoy/type/matcher/v3/regex.proto",
  "envoy/type/matcher/v3/string.proto",
  "envoy/type/matcher/v3/value.proto",
  "envoy/type/metadata/v3/metadata.proto",
  "envoy/type/tracing/v3/custom_tag.proto",
  "envoy/type/v3/hash_policy.proto",
  "envoy/type/v3/http.proto",
  "envoy/type/v3/http_status.proto",
  "envoy/type/v3/percent.proto",
  "envoy/type/v3/range.proto",
  "envoy/type/v3/ratelimit_unit.proto",
  "envoy/type/v3/token_bucket.proto",
  "envoy/type/v3/semantic_version.proto",
  "envoy/extensions/access_loggers/file/v3/file.proto",
  "envoy/extensions/access_loggers/filters/cel/v3/cel.proto",
  "envoy/extensions/access_loggers/grpc/v3/als.proto",
  "envoy/extensions/access_loggers/open_telemetry/v3/logs_service.proto",
  "envoy/extensions/access_loggers/stream/v3/stream.proto",
  "envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster.proto",
  "envoy/extensions/common/dynamic_forward_proxy/v3/dns_cache.proto",
  "envoy/extensions/common/ratelimit/v3/ratelimit.proto",
  "envoy/extensions/compression/brotli/compressor/v3/brotli.proto",
  "envoy/extensions/compression/brotli/decompressor/v3/brotli.proto",
  "envoy/extensions/compression/gzip/compressor/v3/gzip.proto",
  "envoy/extensions/compression/gzip/decompressor/v3/gzip.proto",
  "envoy/extensions/compression/zstd/compressor/v3/zstd.proto",
  "envoy/extensions/compression/zstd/decompressor/v3/zstd.proto",
  "envoy/extensions/filters/common/fault/v3/fault.proto",
  "envoy/extensions/filters/common/set_filter_state/v3/value.proto",
  "envoy/extensions/filters/http/buffer/v3/buffer.proto",
  "envoy/extensions/filters/http/compressor/v3/compressor.proto",
  "envoy/extensions/filters/http/cors/v3/cors.proto",
  "envoy/extensions/filters/http/csrf/v3/csrf.proto",
  "envoy/extensions/filters/http/decompressor/v3/decompressor.proto",
  "envoy/extensions/filters/http/dynamic_forward_proxy/v3/dynamic_forward_proxy.proto",
  "envoy/extensions/filters/http/ext_authz/v3/ext_authz.proto",
  "envoy/extensions/filters/http/fault/v3/fault.proto",
  "envoy/extensions/filters/http/grpc_stats/v3/config.proto",
  "envoy/extensions/filters/http/grpc_web/v3/grpc_web.proto",
  "envoy/extensions/filters/http/header_mutation/v3/header_mutation.proto",
  "envoy/extensions/filters/http/health_check/v3/health_check.proto",
  "envoy/extensions/filters/http/jwt_authn/v3/config.proto",
  "envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.proto",
  "envoy/extensions/filters/http/lua/v3/lua.proto",
  "envoy/extensions/filters/http/ratelimit/v3/rate_limit.proto",
  "envoy/extensions/filters/http/rbac/v3/rbac.proto",
  "envoy/extensions/filters/http/router/v3/router.proto",
  "envoy/extensions/filters/http/set_filter_state/v3/set_filter_state.proto",
  "envoy/extensions/filters/http/stateful_session/v3/stateful_session.proto",
  "envoy/extensions/filters/http/wasm/v3/wasm.proto",
  "envoy/extensions/filters/listener/http_inspector/v3/http_inspector.proto",
  "envoy/extensions/filters/listener/original_dst/v3/original_dst.proto",
  "envoy/extensions/filters/listener/original_src/v3/original_src.proto",
  "envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol.proto",
  "envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector.proto",
  "envoy/extensions/filters/network/connection_limit/v3/connection_limit.proto",
  "envoy/extensions/filters/network/ext_authz/v3/ext_authz.proto",
  "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto",
  "envoy/extensions/filters/network/rbac/v3/rbac.proto",
  "envoy/extensions/filters/network/set_filter_state/v3/set_filter_state.proto",
  "envoy/extensions/filters/network/sni_cluster/v3/sni_cluster.proto",
  "envoy/extensions/filters/network/sni_dynamic_forward_proxy/v3/sni_dynamic_forward_proxy.proto",
  "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.proto",
  "envoy/extensions/formatter/req_without_query/v3/req_without_query.proto",
  "envoy/extensions/http/header_formatters/preserve_case/v3/preserve_case.proto",
  "envoy/extensions/http/stateful_session/cookie/v3/cookie.proto",
  "envoy/extensions/http/stateful_session/header/v3/header.proto",
  "envoy/extensions/matching/common_inputs/network/v3/network_inputs.proto",
  "envoy/extensions/network/dns_resolver/cares/v3/cares_dns_resolver.proto",
  "envoy/extensions/path/match/uri_template/v3/uri_template_match.proto",
  "envoy/extensions/rate_limit_descriptors/expr/v3/expr.proto",
  "envoy/extensions/request_id/uuid/v3/uuid.proto",
  "envoy/extensions/retry/host/previous_hosts/v3/previous_hosts.proto",
  "envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config.proto",
  "envoy/extensions/tracers/opentelemetry/resource_detectors/v3/dynatrace_resource_detector.proto",
  "envoy/extensions/tracers/opentelemetry/resource_detectors/v3/environment_resource_detector.proto",
  "envoy/extensions/tracers/opentelemetry/samplers/v3/dynatrace_sampler.proto",
  "envoy/extensions/transport_sockets/internal_upstream/v3/internal_upstream.proto",
  "envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol.proto",
  "envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer.proto",
  "envoy/extensions/transport_sockets/tls/v3/cert.proto",
  "envoy/extensions/transport_sockets/tls/v3/common.proto",
  "envoy/extensions/transport_sockets/tls/v3/secret.proto",
  "envoy/extensions/transport_sockets/tls/v3/tls.proto",
  "envoy/extensions/upstreams/http/v3/http_protocol_options.proto",
  "envoy/extensions/wasm/v3/wasm.proto",
  "envoy/extensions/stats/config.proto",
  "envoy/config/filter/http/alpn/v2alpha1/config.proto",
  "udpa/type/v1/typed_struct.proto",
  "xds/core/v3/cidr.proto",
  "xds/core/v3/extension.proto",
  "xds/type/matcher/v3/ip.proto",
  "xds/type/matcher/v3/matcher.proto",
  "xds/type/matcher/v3/string.proto",
  "xds/type/v3/typed_struct.proto",
  "envoy/service/auth/v3/attribute_context.proto",
  "opentelemetry/proto/common/v1/common.proto",
  "envoy/service/auth/v3/external_auth.proto",
  "envoy/service/ratelimit/v3/rls.proto",
  "google/api/expr/v1alpha1/syntax.proto",
  "google/rpc/status.proto",
  "security/v1alpha1/ca.proto",
];

const root = join(import.meta.dirname, "../..");
const target = join(root, "generated", "proto");
const maxBufferBytes = 64 * 1024 * 1024;

/** The sources of the doors, and of the files through which some doors export their messages. */
const doors = ["discovery", "envoy", "envoy-telemetry", "envoy-wasm", "workload"]
  .map((door) => join(root, "src", "wire", door))
  .flatMap((folder) => globSync("*.ts", { cwd: folder, exclude: ["*.test.ts"] }).map((name) => join(folder, name)))
  .map((path) => readFileSync(path, "utf8"))
  .join("\n");

/** Returns the TypeScript names of the messages that the doors export from the file, separated by commas. */
function exportedMessages(path: string): string {
  const module = `#generated/proto/${path.replace(/\.proto$/, "_pb.js")}`;
  const names = [...doors.matchAll(/export (?:type )?\{([^}]*)\} from "([^"]+)"/g)]
    .filter(([, , from]) => from === module)
    .flatMap(([, list = ""]) => list.split(","));
  return [
    ...new Set(
      names.map((name) =>
        name
          .trim()
          .replace(/^type /, "")
          .replace(/ as .*$/, "")
          .replace(/Schema$/, ""),
      ),
    ),
  ]
    .filter((name) => name !== "")
    .join(",");
}

const files = [
  ...linked.map((path) => `${path}:${exportedMessages(path)}`),
  ...Object.entries(ours).map(([path, source]) => `${path}=${join(root, source)}`),
];
const request = execFileSync("go", ["run", ".", ...files], {
  cwd: join(root, "scripts", "generate", "protos"),
  maxBuffer: maxBufferBytes,
  stdio: ["ignore", "pipe", "inherit"],
});
const answer = fromBinary(
  CodeGeneratorResponseSchema,
  execFileSync("npx", ["-y", generator], { input: request, maxBuffer: maxBufferBytes }),
);
if (answer.error !== "") throw new Error(answer.error);
rmSync(target, { recursive: true, force: true });
for (const file of answer.file) {
  const path = join(target, file.name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, file.name.endsWith(".js") ? withOwnFileDescription(file.name, file.content) : file.content);
}
for (const ending of [".js", ".d.ts"])
  copyFileSync(
    join(root, "scripts", "generate", "protos", `${fileDescriptionModule}${ending}`),
    join(target, `${fileDescriptionModule}${ending}`),
  );
writeFileSync(
  join(target, "NOTICE"),
  `Generated by scripts/generate/protos.ts; not edited by hand.
Files below envoy/ describe the API of Envoy (https://www.envoyproxy.io), files below google/ that of Google APIs,
files below opentelemetry/ the protocol of OpenTelemetry (https://opentelemetry.io), and
security/v1alpha1/ca_pb the certificate API of Istio (https://istio.io); all are under the Apache License, Version 2.0.
`,
);
console.log(`wrote ${answer.file.length} files below ${target}`);
