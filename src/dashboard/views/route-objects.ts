import type { KindDefinition, KubernetesObject } from "../../api/index.ts";
import { grpcRouteKind, httpRouteKind, tcpRouteKind, tlsRouteKind } from "../../api/gateway/index.ts";
import { destinationRuleKind, istioGatewayKind, virtualServiceKind } from "../../api/istio/index.ts";
import type { Inventory } from "./inventory.ts";
import { routePlan, type RoutePlan } from "./route-rules.ts";

const plans = new WeakMap<Inventory, RoutePlan>();

/**
 * The routes of the mesh, parsed once after a change. Leaves out objects that their parser refuses, because they have
 * no effect.
 */
export function routesOf(inventory: Inventory): RoutePlan {
  let plan = plans.get(inventory);
  if (plan === undefined) {
    const parsed = <Value extends KubernetesObject>(kind: KindDefinition<Value>): Value[] =>
      inventory.objects.configs
        .filter((object) => object.kind === kind.kind && object.apiVersion?.startsWith(`${kind.group}/`) === true)
        .flatMap((object) => kind.parse?.(object).value ?? []);
    plan = routePlan({
      virtualServices: parsed(virtualServiceKind),
      destinationRules: parsed(destinationRuleKind),
      gateways: parsed(istioGatewayKind),
      httpRoutes: parsed(httpRouteKind),
      grpcRoutes: parsed(grpcRouteKind),
      tlsRoutes: parsed(tlsRouteKind),
      tcpRoutes: parsed(tcpRouteKind),
      pods: inventory.objects.pods,
    });
    plans.set(inventory, plan);
  }
  return plan;
}
