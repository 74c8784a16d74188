import type { KindDefinition } from "../kind.ts";
import { gatewayClassKind } from "./gateway-class.ts";
import { gatewayKind } from "./gateway.ts";
import { httpRouteKind } from "./http-route.ts";
import { referenceGrantKind } from "./reference-grant.ts";

/** Every kind of Gateway API that has a parser here. */
export const gatewayApiKinds: readonly KindDefinition[] = [gatewayClassKind, gatewayKind, httpRouteKind, referenceGrantKind];
