import type { Collection, CollectionGraph } from "../../kube/index.ts";
import { ListenerSchema, RouteConfigurationSchema, type Listener } from "../../wire/envoy/index.ts";
import { factsKey, meshKey, type MeshSettings } from "../model/facts.ts";
import { isIngressClass } from "../model/gateway-class.ts";
import type { RouteModel } from "../model/gateway-model.ts";
import { judgeListeners } from "../model/listener-validation.ts";
import type { MeshInputs } from "../model/mesh-inputs.ts";
import { connectOriginateName } from "./cluster.ts";
import { connectOriginateListener, gatewayListener, listenerName, routeName } from "./gateway-listener.ts";
import { httpConnectionManagerFilter } from "./http-connection-manager.ts";
import { routeTable } from "./gateway-route.ts";
import { encodeResource, sameScopedResource, scopedResourceKey, type ScopedEncodedResource } from "./resource.ts";

/** What gateway proxies are served beside the clusters of their scope. */
export interface RouterResources {
  /** Scoped by `namespace/name` of the Gateway. */
  readonly listeners: Collection<ScopedEncodedResource>;
  readonly routes: Collection<ScopedEncodedResource>;
}

export function deriveRouterResources(graph: CollectionGraph, inputs: MeshInputs, routes: Collection<RouteModel>): RouterResources {
  return {
    listeners: deriveListeners(graph, inputs),
    routes: deriveRouteTables(graph, inputs, routes),
  };
}

function deriveListeners(graph: CollectionGraph, inputs: MeshInputs): Collection<ScopedEncodedResource> {
  return graph.derive(
    "lds-gateways",
    inputs.gateways,
    (gateway, reader) => {
      const mesh = reader.get(inputs.mesh, meshKey);
      if (mesh === undefined || !isIngressClass(gateway.spec.gatewayClassName, inputs, reader)) return [];
      const scope = factsKey(gateway);
      const listeners = servedPorts(gateway).map((port) => encodeResource(ListenerSchema, listenerName(port), httpListener(port, mesh)));
      listeners.push(encodeResource(ListenerSchema, connectOriginateName, connectOriginateListener()));
      return listeners.map((resource) => [scopedResourceKey(scope, resource.name), { scope, resource }] as const);
    },
    sameScopedResource,
  );
}

function deriveRouteTables(graph: CollectionGraph, inputs: MeshInputs, routes: Collection<RouteModel>): Collection<ScopedEncodedResource> {
  const byGateway = routes.index("gateway", (model) => new Set(model.parents.filter((parent) => parent.refused === undefined).map((parent) => parent.gateway)));
  return graph.derive(
    "rds-gateways",
    inputs.gateways,
    (gateway, reader) => {
      if (!isIngressClass(gateway.spec.gatewayClassName, inputs, reader)) return [];
      const scope = factsKey(gateway);
      const attached = reader.lookup(byGateway, scope);
      return servedPorts(gateway).map((port) => {
        const resource = encodeResource(RouteConfigurationSchema, routeName(port), routeTable(gateway, port, attached));
        return [scopedResourceKey(scope, resource.name), { scope, resource }] as const;
      });
    },
    sameScopedResource,
  );
}

/** One plain HTTP port of a Gateway; the routes of all of its listeners on that port come as one table. */
function httpListener(port: number, mesh: MeshSettings): Listener {
  const manager = httpConnectionManagerFilter({ direction: "gateway", statPrefix: `outbound_${listenerName(port)}`, mesh, routes: { rds: routeName(port) } });
  return gatewayListener("0.0.0.0", port, [{ serverNames: [], filters: [manager] }]);
}

function servedPorts(gateway: Parameters<typeof judgeListeners>[0]): readonly number[] {
  const ports = judgeListeners(gateway)
    .filter((verdict) => verdict.serves)
    .map((verdict) => verdict.listener.port);
  return [...new Set(ports)].sort((left, right) => left - right);
}

export { scopedResourceKey, type ScopedEncodedResource } from "./resource.ts";
