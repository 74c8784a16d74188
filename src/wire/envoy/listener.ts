// Envoy's listeners, with the filters of listeners and of connections.

export { type Listener, ListenerSchema } from "#generated/proto/envoy/config/listener/v3/listener_pb.js";
export {
  type Filter,
  type FilterChain,
  type FilterChainMatch,
  FilterChainMatch_ConnectionSourceType,
  FilterChainMatchSchema,
  FilterChainSchema,
  type ListenerFilter,
  type ListenerFilterChainMatchPredicate,
} from "#generated/proto/envoy/config/listener/v3/listener_components_pb.js";
export { OriginalDstSchema } from "#generated/proto/envoy/extensions/filters/listener/original_dst/v3/original_dst_pb.js";
export {
  type OriginalSrc,
  OriginalSrcSchema,
} from "#generated/proto/envoy/extensions/filters/listener/original_src/v3/original_src_pb.js";
export { TlsInspectorSchema } from "#generated/proto/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.js";
export {
  type HttpConnectionManager,
  HttpConnectionManager_CodecType,
  HttpConnectionManager_ForwardClientCertDetails,
  HttpConnectionManager_PathWithEscapedSlashesAction,
  HttpConnectionManager_ServerHeaderTransformation,
  HttpConnectionManager_SetCurrentClientCertDetailsSchema,
  type HttpConnectionManager_Tracing,
  HttpConnectionManager_TracingSchema,
  HttpConnectionManagerSchema,
  type HttpFilter,
  type LocalReplyConfig,
  LocalReplyConfigSchema,
  ResponseMapperSchema,
  type ResponseMapper,
} from "#generated/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js";
export {
  type RBAC as NetworkRbac,
  RBAC_EnforcementType as NetworkRbac_EnforcementType,
  RBACSchema as NetworkRbacSchema,
} from "#generated/proto/envoy/extensions/filters/network/rbac/v3/rbac_pb.js";
export {
  type TcpProxy,
  type TcpProxy_TunnelingConfig,
  TcpProxySchema,
} from "#generated/proto/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.js";
export { HttpInspectorSchema } from "#generated/proto/envoy/extensions/filters/listener/http_inspector/v3/http_inspector_pb.js";
export {
  type ProxyProtocol,
  ProxyProtocolSchema,
} from "#generated/proto/envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol_pb.js";
export {
  type ConnectionLimit,
  ConnectionLimitSchema,
} from "#generated/proto/envoy/extensions/filters/network/connection_limit/v3/connection_limit_pb.js";
export {
  type Config as NetworkSetFilterState,
  ConfigSchema as NetworkSetFilterStateSchema,
} from "#generated/proto/envoy/extensions/filters/network/set_filter_state/v3/set_filter_state_pb.js";
export {
  type ExtAuthz as NetworkExtAuthz,
  ExtAuthzSchema as NetworkExtAuthzSchema,
} from "#generated/proto/envoy/extensions/filters/network/ext_authz/v3/ext_authz_pb.js";
export {
  type FilterConfig as SniDynamicForwardProxy,
  FilterConfigSchema as SniDynamicForwardProxySchema,
} from "#generated/proto/envoy/extensions/filters/network/sni_dynamic_forward_proxy/v3/sni_dynamic_forward_proxy_pb.js";
