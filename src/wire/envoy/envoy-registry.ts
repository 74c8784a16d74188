import { createRegistry, type Registry } from "@bufbuild/protobuf";
import { nestedTypes } from "@bufbuild/protobuf/reflect";
import { file_google_protobuf_wrappers } from "@bufbuild/protobuf/wkt";
import { file_envoy_config_cluster_v3_cluster } from "#generated/proto/envoy/config/cluster/v3/cluster_pb.js";
import { file_envoy_config_endpoint_v3_endpoint } from "#generated/proto/envoy/config/endpoint/v3/endpoint_pb.js";
import { file_envoy_config_filter_http_alpn_v2alpha1_config } from "#generated/proto/envoy/config/filter/http/alpn/v2alpha1/config_pb.js";
import { file_envoy_config_listener_v3_listener } from "#generated/proto/envoy/config/listener/v3/listener_pb.js";
import { file_envoy_config_route_v3_route_components } from "#generated/proto/envoy/config/route/v3/route_components_pb.js";
import { file_envoy_config_route_v3_route } from "#generated/proto/envoy/config/route/v3/route_pb.js";
import { file_envoy_config_trace_v3_opentelemetry } from "#generated/proto/envoy/config/trace/v3/opentelemetry_pb.js";
import { file_envoy_config_trace_v3_zipkin } from "#generated/proto/envoy/config/trace/v3/zipkin_pb.js";
import { file_envoy_extensions_access_loggers_file_v3_file } from "#generated/proto/envoy/extensions/access_loggers/file/v3/file_pb.js";
import { file_envoy_extensions_access_loggers_filters_cel_v3_cel } from "#generated/proto/envoy/extensions/access_loggers/filters/cel/v3/cel_pb.js";
import { file_envoy_extensions_access_loggers_open_telemetry_v3_logs_service } from "#generated/proto/envoy/extensions/access_loggers/open_telemetry/v3/logs_service_pb.js";
import { file_envoy_extensions_access_loggers_stream_v3_stream } from "#generated/proto/envoy/extensions/access_loggers/stream/v3/stream_pb.js";
import { file_envoy_extensions_clusters_dynamic_forward_proxy_v3_cluster } from "#generated/proto/envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster_pb.js";
import { file_envoy_extensions_compression_brotli_compressor_v3_brotli } from "#generated/proto/envoy/extensions/compression/brotli/compressor/v3/brotli_pb.js";
import { file_envoy_extensions_compression_brotli_decompressor_v3_brotli } from "#generated/proto/envoy/extensions/compression/brotli/decompressor/v3/brotli_pb.js";
import { file_envoy_extensions_compression_gzip_compressor_v3_gzip } from "#generated/proto/envoy/extensions/compression/gzip/compressor/v3/gzip_pb.js";
import { file_envoy_extensions_compression_gzip_decompressor_v3_gzip } from "#generated/proto/envoy/extensions/compression/gzip/decompressor/v3/gzip_pb.js";
import { file_envoy_extensions_compression_zstd_compressor_v3_zstd } from "#generated/proto/envoy/extensions/compression/zstd/compressor/v3/zstd_pb.js";
import { file_envoy_extensions_compression_zstd_decompressor_v3_zstd } from "#generated/proto/envoy/extensions/compression/zstd/decompressor/v3/zstd_pb.js";
import { file_envoy_extensions_filters_http_buffer_v3_buffer } from "#generated/proto/envoy/extensions/filters/http/buffer/v3/buffer_pb.js";
import { file_envoy_extensions_filters_http_compressor_v3_compressor } from "#generated/proto/envoy/extensions/filters/http/compressor/v3/compressor_pb.js";
import { file_envoy_extensions_filters_http_cors_v3_cors } from "#generated/proto/envoy/extensions/filters/http/cors/v3/cors_pb.js";
import { file_envoy_extensions_filters_http_csrf_v3_csrf } from "#generated/proto/envoy/extensions/filters/http/csrf/v3/csrf_pb.js";
import { file_envoy_extensions_filters_http_decompressor_v3_decompressor } from "#generated/proto/envoy/extensions/filters/http/decompressor/v3/decompressor_pb.js";
import { file_envoy_extensions_filters_http_dynamic_forward_proxy_v3_dynamic_forward_proxy } from "#generated/proto/envoy/extensions/filters/http/dynamic_forward_proxy/v3/dynamic_forward_proxy_pb.js";
import { file_envoy_extensions_filters_http_ext_authz_v3_ext_authz } from "#generated/proto/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.js";
import { file_envoy_extensions_filters_http_fault_v3_fault } from "#generated/proto/envoy/extensions/filters/http/fault/v3/fault_pb.js";
import { file_envoy_extensions_filters_http_grpc_stats_v3_config } from "#generated/proto/envoy/extensions/filters/http/grpc_stats/v3/config_pb.js";
import { file_envoy_extensions_filters_http_grpc_web_v3_grpc_web } from "#generated/proto/envoy/extensions/filters/http/grpc_web/v3/grpc_web_pb.js";
import { file_envoy_extensions_filters_http_header_mutation_v3_header_mutation } from "#generated/proto/envoy/extensions/filters/http/header_mutation/v3/header_mutation_pb.js";
import { file_envoy_extensions_filters_http_health_check_v3_health_check } from "#generated/proto/envoy/extensions/filters/http/health_check/v3/health_check_pb.js";
import { file_envoy_extensions_filters_http_jwt_authn_v3_config } from "#generated/proto/envoy/extensions/filters/http/jwt_authn/v3/config_pb.js";
import { file_envoy_extensions_filters_http_local_ratelimit_v3_local_rate_limit } from "#generated/proto/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.js";
import { file_envoy_extensions_filters_http_lua_v3_lua } from "#generated/proto/envoy/extensions/filters/http/lua/v3/lua_pb.js";
import { file_envoy_extensions_filters_http_ratelimit_v3_rate_limit } from "#generated/proto/envoy/extensions/filters/http/ratelimit/v3/rate_limit_pb.js";
import { file_envoy_extensions_filters_http_rbac_v3_rbac } from "#generated/proto/envoy/extensions/filters/http/rbac/v3/rbac_pb.js";
import { file_envoy_extensions_filters_http_router_v3_router } from "#generated/proto/envoy/extensions/filters/http/router/v3/router_pb.js";
import { file_envoy_extensions_filters_http_set_filter_state_v3_set_filter_state } from "#generated/proto/envoy/extensions/filters/http/set_filter_state/v3/set_filter_state_pb.js";
import { file_envoy_extensions_filters_http_stateful_session_v3_stateful_session } from "#generated/proto/envoy/extensions/filters/http/stateful_session/v3/stateful_session_pb.js";
import { file_envoy_extensions_http_stateful_session_cookie_v3_cookie } from "#generated/proto/envoy/extensions/http/stateful_session/cookie/v3/cookie_pb.js";
import { file_envoy_extensions_http_stateful_session_header_v3_header } from "#generated/proto/envoy/extensions/http/stateful_session/header/v3/header_pb.js";
import { file_envoy_extensions_filters_listener_http_inspector_v3_http_inspector } from "#generated/proto/envoy/extensions/filters/listener/http_inspector/v3/http_inspector_pb.js";
import { file_envoy_extensions_filters_listener_original_dst_v3_original_dst } from "#generated/proto/envoy/extensions/filters/listener/original_dst/v3/original_dst_pb.js";
import { file_envoy_extensions_filters_listener_original_src_v3_original_src } from "#generated/proto/envoy/extensions/filters/listener/original_src/v3/original_src_pb.js";
import { file_envoy_extensions_filters_listener_proxy_protocol_v3_proxy_protocol } from "#generated/proto/envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol_pb.js";
import { file_envoy_extensions_filters_listener_tls_inspector_v3_tls_inspector } from "#generated/proto/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.js";
import { file_envoy_extensions_filters_network_connection_limit_v3_connection_limit } from "#generated/proto/envoy/extensions/filters/network/connection_limit/v3/connection_limit_pb.js";
import { file_envoy_extensions_filters_network_ext_authz_v3_ext_authz } from "#generated/proto/envoy/extensions/filters/network/ext_authz/v3/ext_authz_pb.js";
import { file_envoy_extensions_filters_network_http_connection_manager_v3_http_connection_manager } from "#generated/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js";
import { file_envoy_extensions_filters_network_rbac_v3_rbac } from "#generated/proto/envoy/extensions/filters/network/rbac/v3/rbac_pb.js";
import { file_envoy_extensions_filters_network_set_filter_state_v3_set_filter_state } from "#generated/proto/envoy/extensions/filters/network/set_filter_state/v3/set_filter_state_pb.js";
import { file_envoy_extensions_filters_network_sni_cluster_v3_sni_cluster } from "#generated/proto/envoy/extensions/filters/network/sni_cluster/v3/sni_cluster_pb.js";
import { file_envoy_extensions_filters_network_sni_dynamic_forward_proxy_v3_sni_dynamic_forward_proxy } from "#generated/proto/envoy/extensions/filters/network/sni_dynamic_forward_proxy/v3/sni_dynamic_forward_proxy_pb.js";
import { file_envoy_extensions_filters_network_tcp_proxy_v3_tcp_proxy } from "#generated/proto/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.js";
import { file_envoy_extensions_http_header_formatters_preserve_case_v3_preserve_case } from "#generated/proto/envoy/extensions/http/header_formatters/preserve_case/v3/preserve_case_pb.js";
import { file_envoy_extensions_matching_common_inputs_network_v3_network_inputs } from "#generated/proto/envoy/extensions/matching/common_inputs/network/v3/network_inputs_pb.js";
import { file_envoy_extensions_network_dns_resolver_cares_v3_cares_dns_resolver } from "#generated/proto/envoy/extensions/network/dns_resolver/cares/v3/cares_dns_resolver_pb.js";
import { file_envoy_extensions_path_match_uri_template_v3_uri_template_match } from "#generated/proto/envoy/extensions/path/match/uri_template/v3/uri_template_match_pb.js";
import { file_envoy_extensions_rate_limit_descriptors_expr_v3_expr } from "#generated/proto/envoy/extensions/rate_limit_descriptors/expr/v3/expr_pb.js";
import { file_envoy_extensions_request_id_uuid_v3_uuid } from "#generated/proto/envoy/extensions/request_id/uuid/v3/uuid_pb.js";
import { file_envoy_extensions_access_loggers_grpc_v3_als } from "#generated/proto/envoy/extensions/access_loggers/grpc/v3/als_pb.js";
import { file_envoy_extensions_retry_priority_previous_priorities_v3_previous_priorities_config } from "#generated/proto/envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config_pb.js";
import { file_envoy_extensions_retry_host_previous_hosts_v3_previous_hosts } from "#generated/proto/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts_pb.js";
import { file_envoy_extensions_stats_config } from "#generated/proto/envoy/extensions/stats/config_pb.js";
import { file_envoy_extensions_transport_sockets_internal_upstream_v3_internal_upstream } from "#generated/proto/envoy/extensions/transport_sockets/internal_upstream/v3/internal_upstream_pb.js";
import { file_envoy_extensions_transport_sockets_proxy_protocol_v3_upstream_proxy_protocol } from "#generated/proto/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol_pb.js";
import { file_envoy_extensions_transport_sockets_raw_buffer_v3_raw_buffer } from "#generated/proto/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.js";
import { file_envoy_extensions_transport_sockets_tls_v3_secret } from "#generated/proto/envoy/extensions/transport_sockets/tls/v3/secret_pb.js";
import { file_envoy_extensions_transport_sockets_tls_v3_tls } from "#generated/proto/envoy/extensions/transport_sockets/tls/v3/tls_pb.js";
import { file_envoy_extensions_upstreams_http_v3_http_protocol_options } from "#generated/proto/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js";
import { file_udpa_type_v1_typed_struct } from "#generated/proto/udpa/type/v1/typed_struct_pb.js";
import { file_xds_type_matcher_v3_ip } from "#generated/proto/xds/type/matcher/v3/ip_pb.js";
import { file_xds_type_matcher_v3_matcher } from "#generated/proto/xds/type/matcher/v3/matcher_pb.js";
import { file_xds_type_v3_typed_struct } from "#generated/proto/xds/type/v3/typed_struct_pb.js";

const files = [
  file_google_protobuf_wrappers,
  file_envoy_config_cluster_v3_cluster,
  file_envoy_config_endpoint_v3_endpoint,
  file_envoy_config_filter_http_alpn_v2alpha1_config,
  file_envoy_config_listener_v3_listener,
  file_envoy_config_route_v3_route,
  file_envoy_config_route_v3_route_components,
  file_envoy_config_trace_v3_opentelemetry,
  file_envoy_config_trace_v3_zipkin,
  file_envoy_extensions_access_loggers_file_v3_file,
  file_envoy_extensions_access_loggers_filters_cel_v3_cel,
  file_envoy_extensions_access_loggers_open_telemetry_v3_logs_service,
  file_envoy_extensions_access_loggers_stream_v3_stream,
  file_envoy_extensions_clusters_dynamic_forward_proxy_v3_cluster,
  file_envoy_extensions_compression_brotli_compressor_v3_brotli,
  file_envoy_extensions_compression_brotli_decompressor_v3_brotli,
  file_envoy_extensions_compression_gzip_compressor_v3_gzip,
  file_envoy_extensions_compression_gzip_decompressor_v3_gzip,
  file_envoy_extensions_compression_zstd_compressor_v3_zstd,
  file_envoy_extensions_compression_zstd_decompressor_v3_zstd,
  file_envoy_extensions_filters_http_buffer_v3_buffer,
  file_envoy_extensions_filters_http_compressor_v3_compressor,
  file_envoy_extensions_filters_http_cors_v3_cors,
  file_envoy_extensions_filters_http_csrf_v3_csrf,
  file_envoy_extensions_filters_http_decompressor_v3_decompressor,
  file_envoy_extensions_filters_http_dynamic_forward_proxy_v3_dynamic_forward_proxy,
  file_envoy_extensions_filters_http_ext_authz_v3_ext_authz,
  file_envoy_extensions_filters_http_fault_v3_fault,
  file_envoy_extensions_filters_http_grpc_stats_v3_config,
  file_envoy_extensions_filters_http_grpc_web_v3_grpc_web,
  file_envoy_extensions_filters_http_header_mutation_v3_header_mutation,
  file_envoy_extensions_filters_http_health_check_v3_health_check,
  file_envoy_extensions_filters_http_jwt_authn_v3_config,
  file_envoy_extensions_filters_http_local_ratelimit_v3_local_rate_limit,
  file_envoy_extensions_filters_http_lua_v3_lua,
  file_envoy_extensions_filters_http_ratelimit_v3_rate_limit,
  file_envoy_extensions_filters_http_rbac_v3_rbac,
  file_envoy_extensions_filters_http_router_v3_router,
  file_envoy_extensions_filters_http_set_filter_state_v3_set_filter_state,
  file_envoy_extensions_filters_http_stateful_session_v3_stateful_session,
  file_envoy_extensions_http_stateful_session_cookie_v3_cookie,
  file_envoy_extensions_http_stateful_session_header_v3_header,
  file_envoy_extensions_filters_listener_http_inspector_v3_http_inspector,
  file_envoy_extensions_filters_listener_original_dst_v3_original_dst,
  file_envoy_extensions_filters_listener_original_src_v3_original_src,
  file_envoy_extensions_filters_listener_proxy_protocol_v3_proxy_protocol,
  file_envoy_extensions_filters_listener_tls_inspector_v3_tls_inspector,
  file_envoy_extensions_filters_network_connection_limit_v3_connection_limit,
  file_envoy_extensions_filters_network_ext_authz_v3_ext_authz,
  file_envoy_extensions_filters_network_http_connection_manager_v3_http_connection_manager,
  file_envoy_extensions_filters_network_rbac_v3_rbac,
  file_envoy_extensions_filters_network_set_filter_state_v3_set_filter_state,
  file_envoy_extensions_filters_network_sni_cluster_v3_sni_cluster,
  file_envoy_extensions_filters_network_sni_dynamic_forward_proxy_v3_sni_dynamic_forward_proxy,
  file_envoy_extensions_filters_network_tcp_proxy_v3_tcp_proxy,
  file_envoy_extensions_http_header_formatters_preserve_case_v3_preserve_case,
  file_envoy_extensions_matching_common_inputs_network_v3_network_inputs,
  file_envoy_extensions_network_dns_resolver_cares_v3_cares_dns_resolver,
  file_envoy_extensions_path_match_uri_template_v3_uri_template_match,
  file_envoy_extensions_rate_limit_descriptors_expr_v3_expr,
  file_envoy_extensions_request_id_uuid_v3_uuid,
  file_envoy_extensions_retry_host_previous_hosts_v3_previous_hosts,
  file_envoy_extensions_access_loggers_grpc_v3_als,
  file_envoy_extensions_retry_priority_previous_priorities_v3_previous_priorities_config,
  file_envoy_extensions_stats_config,
  file_envoy_extensions_transport_sockets_internal_upstream_v3_internal_upstream,
  file_envoy_extensions_transport_sockets_proxy_protocol_v3_upstream_proxy_protocol,
  file_envoy_extensions_transport_sockets_raw_buffer_v3_raw_buffer,
  file_envoy_extensions_transport_sockets_tls_v3_secret,
  file_envoy_extensions_transport_sockets_tls_v3_tls,
  file_envoy_extensions_upstreams_http_v3_http_protocol_options,
  file_udpa_type_v1_typed_struct,
  file_xds_type_matcher_v3_ip,
  file_xds_type_matcher_v3_matcher,
  file_xds_type_v3_typed_struct,
];

let registry: Registry | undefined;

/**
 * The types that a `google.protobuf.Any` of Envoy's API may contain, for JSON (config dumps) and `anyUnpack`. It is
 * built on first use.
 */
export function envoyRegistry(): Registry {
  // Pass the types and not the files, because the library would decode the whole description of a file.
  registry ??= createRegistry(...files.flatMap((file) => [...nestedTypes(file)]));
  return registry;
}
