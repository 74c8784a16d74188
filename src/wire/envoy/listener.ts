// Envoy's listeners, with the filters of listeners and of connections.

export {
  type Listener,
  type Listener_InternalListenerConfig,
  type Listener_ConnectionBalanceConfig,
  type Listener_ConnectionBalanceConfig_ExactBalance,
  ListenerSchema,
  type AdditionalAddress,
} from "#generated/proto/envoy/config/listener/v3/listener_pb.js";
export {
  type Filter,
  type FilterChain,
  type FilterChainMatch,
  FilterChainMatch_ConnectionSourceType,
  FilterChainMatchSchema,
  FilterChainSchema,
  type ListenerFilter,
  type ListenerFilterChainMatchPredicate,
  type ListenerFilterChainMatchPredicate_MatchSet,
} from "#generated/proto/envoy/config/listener/v3/listener_components_pb.js";
export {
  type OriginalDst,
  OriginalDstSchema,
} from "#generated/proto/envoy/extensions/filters/listener/original_dst/v3/original_dst_pb.js";
export {
  type OriginalSrc,
  OriginalSrcSchema,
} from "#generated/proto/envoy/extensions/filters/listener/original_src/v3/original_src_pb.js";
export {
  type TlsInspector,
  TlsInspectorSchema,
} from "#generated/proto/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.js";
export {
  type HttpConnectionManager,
  HttpConnectionManager_CodecType,
  HttpConnectionManager_ForwardClientCertDetails,
  HttpConnectionManager_PathWithEscapedSlashesAction,
  HttpConnectionManager_ServerHeaderTransformation,
  type HttpConnectionManager_SetCurrentClientCertDetails,
  HttpConnectionManager_SetCurrentClientCertDetailsSchema,
  type HttpConnectionManager_Tracing,
  HttpConnectionManager_TracingSchema,
  type HttpConnectionManager_UpgradeConfig,
  HttpConnectionManagerSchema,
  type HttpFilter,
  type Rds,
  type HttpConnectionManager_PathNormalizationOptions,
  type HttpConnectionManager_HcmAccessLogOptions,
  type LocalReplyConfig,
  LocalReplyConfigSchema,
  ResponseMapperSchema,
  type RequestIDExtension,
  type ScopedRoutes,
  type HttpConnectionManager_InternalAddressConfig,
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
  type TcpProxy_WeightedCluster,
  TcpProxySchema,
  type TcpProxy_WeightedCluster_ClusterWeight,
} from "#generated/proto/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.js";
export {
  type HttpInspector,
  HttpInspectorSchema,
} from "#generated/proto/envoy/extensions/filters/listener/http_inspector/v3/http_inspector_pb.js";
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
export type { SniCluster } from "#generated/proto/envoy/extensions/filters/network/sni_cluster/v3/sni_cluster_pb.js";
export {
  type ExtAuthz as NetworkExtAuthz,
  ExtAuthzSchema as NetworkExtAuthzSchema,
} from "#generated/proto/envoy/extensions/filters/network/ext_authz/v3/ext_authz_pb.js";
export {
  type FilterConfig as SniDynamicForwardProxy,
  FilterConfigSchema as SniDynamicForwardProxySchema,
} from "#generated/proto/envoy/extensions/filters/network/sni_dynamic_forward_proxy/v3/sni_dynamic_forward_proxy_pb.js";
