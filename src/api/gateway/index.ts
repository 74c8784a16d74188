/** The Gateway API: types with all defaults filled in, and parsers for users' objects. */
export {
  backendTlsPolicyKind,
  maxPolicyAncestors,
  type BackendTlsPolicy,
  type BackendTlsPolicySpec,
  type PolicyAncestorStatus,
} from "./backend-tls-policy.ts";
export { gatewayApiKinds } from "./gateway-api-kinds.ts";
export { gatewayClassKind, type GatewayClass } from "./gateway-class.ts";
export {
  gatewayKind,
  type AllowedNamespaces,
  type FrontendValidation,
  type Gateway,
  type GatewayAddress,
  type GatewayStatus,
  type Listener,
  type ListenerStatus,
  type RouteGroupKind,
  type SecretObjectReference,
} from "./gateway.ts";
export { storedGateway, storedGatewayClass } from "./stored-gateway.ts";
export { grpcRouteKind, type GrpcRoute, type GrpcRouteMatch } from "./grpc-route.ts";
export {
  httpRouteKind,
  type HttpRoute,
  type HttpRouteMatch,
  type HttpRouteRule,
  type NamedMatch,
} from "./http-route.ts";
export {
  tcpRouteKind,
  tlsRouteKind,
  udpRouteKind,
  type L4RouteRule,
  type TcpRoute,
  type TlsRoute,
  type UdpRoute,
} from "./l4-routes.ts";
export { listenerSetKind, type ListenerSet } from "./listener-set.ts";
export { referenceGrantKind, type ReferenceGrant } from "./reference-grant.ts";
export {
  gatewayGroup,
  type BackendObjectReference,
  type ParentReference,
  type RouteParentStatus,
} from "./references.ts";
export type {
  CorsFilter,
  HeaderModifier,
  HttpRouteFilter,
  PathModifier,
  RequestRedirect,
  UrlRewrite,
} from "./route-filters.ts";
