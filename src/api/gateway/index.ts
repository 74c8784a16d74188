/** Gateway API: types with every default filled in, and parsers for what a user writes. */
export { gatewayClassKind, parseGatewayClass, type GatewayClass } from "./gateway-class.ts";
export {
  gatewayKind,
  parseGateway,
  type AllowedRoutes,
  type Gateway,
  type GatewayAddress,
  type GatewayStatus,
  type Listener,
  type ListenerStatus,
  type ListenerTls,
  type RouteGroupKind,
} from "./gateway.ts";
export { httpRouteKind, parseHttpRoute, type HttpBackendRef, type HttpRoute, type HttpRouteMatch, type HttpRouteRule, type NamedMatch } from "./http-route.ts";
export { parseReferenceGrant, referenceGrantKind, type ReferenceGrant } from "./reference-grant.ts";
export { gatewayGroup, type BackendObjectReference, type ParentReference, type RouteParentStatus } from "./references.ts";
export type { CorsFilter, HeaderModifier, HttpHeader, HttpRouteFilter, PathModifier, RequestMirror, RequestRedirect, UrlRewrite } from "./route-filters.ts";
