import type { KindDefinition } from "../kind.ts";
import { backendTlsPolicyKind } from "./backend-tls-policy.ts";
import { gatewayClassKind } from "./gateway-class.ts";
import { gatewayKind } from "./gateway.ts";
import { grpcRouteKind } from "./grpc-route.ts";
import { httpRouteKind } from "./http-route.ts";
import { tcpRouteKind, tlsRouteKind, udpRouteKind } from "./l4-routes.ts";
import { listenerSetKind } from "./listener-set.ts";
import { referenceGrantKind } from "./reference-grant.ts";

export const gatewayApiKinds: readonly KindDefinition[] = [
  backendTlsPolicyKind,
  gatewayClassKind,
  gatewayKind,
  grpcRouteKind,
  httpRouteKind,
  listenerSetKind,
  referenceGrantKind,
  tcpRouteKind,
  tlsRouteKind,
  udpRouteKind,
];
