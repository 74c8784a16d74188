import { withOwnProxyConfig, type HashKey } from "../../../api/istio/index.ts";
import type { Collection, CollectionGraph, CollectionReader } from "../../../kube/index.ts";
import { ListenerSchema, RouteConfigurationSchema } from "../../../wire/envoy/index.ts";
import { destinationRuleFor } from "../../model/destination-rule-model.ts";
import { byAge, factsKey, meshKey, type GatewayFacts, type MeshSettings } from "../../model/facts.ts";
import { isIngressClass } from "../../model/gateway-class.ts";
import { isManaged } from "../../model/gateway/gateway-addresses.ts";
import { proxyConfigOfGateway } from "../../model/gateway/gateway-proxy-config.ts";
import { acceptingGateways } from "../../model/gateway/gateway-status.ts";
import type { RouteModel } from "../../model/gateway/gateway-model.ts";
import type { L4RouteModel } from "../../model/gateway/l4-route-model.ts";
import type { ProxyGroup } from "../../model/scope-choice.ts";
import { visibleService } from "../../model/service/service-model.ts";
import type { MeshModel } from "../mesh-model.ts";
import { gatewayApiListeners, gatewayRouteTables, gatewaySubject } from "./gateway-api-listeners.ts";
import { tunnelListeners, type TunnelSources } from "./gateway-listener.ts";
import { deriveRouterGroups, manualDeployments } from "./gateway-manual.ts";
import { routeTable } from "../routing/gateway-route.ts";
import {
  type EncodedResource,
  encodeResource,
  sameScopedResource,
  type ScopedEncodedResource,
  scopedEntry,
} from "../resource.ts";
import { SecurityPolicies } from "../security/security-filters.ts";
import { TelemetryPolicies } from "../telemetry/telemetry-policies.ts";
import { effectivePolicy } from "../traffic-policy.ts";

/** The resources of Gateway API proxies, without the clusters, which come from the proxies' outbound scope. */
export interface RouterResources {
  /** The scope is `namespace/name` of the Gateway, or the key of a group of proxies that the user deployed. */
  readonly listeners: Collection<ScopedEncodedResource>;
  readonly routes: Collection<ScopedEncodedResource>;
}

export interface RouterSources extends TunnelSources, Pick<MeshModel, "registry" | "destinationRules"> {
  readonly routes: readonly Collection<RouteModel>[];
  readonly l4Routes: readonly Collection<L4RouteModel>[];
  /**
   * The proxy groups by key. The groups of proxies that the user deployed belong to the Gateway that names their
   * Service.
   */
  readonly groups: Collection<ProxyGroup>;
}

export function deriveRouterResources(graph: CollectionGraph, sources: RouterSources): RouterResources {
  return { listeners: deriveListeners(graph, sources), routes: deriveRouteTables(graph, sources) };
}

function deriveListeners(graph: CollectionGraph, sources: RouterSources): Collection<ScopedEncodedResource> {
  const { inputs, l4Routes, groups, registry, destinationRules } = sources;
  const byGateway = l4Routes.map((routes) => routes.index("gateway", acceptingGateways));
  const security = new SecurityPolicies(inputs);
  const telemetry = new TelemetryPolicies(inputs);
  return perGateway(graph, "lds-gateways", { inputs, groups }, (gateway, mesh, reader) => {
    const subject = gatewaySubject(gateway, mesh);
    const { namespace, labels } = subject;
    const listeners = gatewayApiListeners(gateway, {
      inputs,
      mesh,
      reader,
      security: security.filtersFor(subject, mesh, reader, { clearRouteCache: true }),
      telemetry: telemetry.telemetryFor(subject, "gateway", mesh, reader),
      l4Routes: byGateway
        .flatMap((index) => reader.lookup(index, factsKey(gateway)))
        .sort((left, right) => byAge(left.route, right.route)),
      ruleOf: (host) => {
        const service = visibleService(host, namespace, registry, reader);
        return service && destinationRuleFor(service, { namespace, labels }, mesh, destinationRules, reader);
      },
    });
    return [
      ...listeners.map((listener) => encodeResource(ListenerSchema, listener.name, listener)),
      ...tunnelListeners(mesh, sources, reader).map((listener) =>
        encodeResource(ListenerSchema, listener.name, listener),
      ),
    ];
  });
}

function deriveRouteTables(
  graph: CollectionGraph,
  { inputs, routes, groups, registry, destinationRules }: RouterSources,
): Collection<ScopedEncodedResource> {
  const byGateway = routes.map((collection) => collection.index("gateway", acceptingGateways));
  return perGateway(graph, "rds-gateways", { inputs, groups }, (gateway, mesh, reader) => {
    const attached = byGateway.flatMap((index) => reader.lookup(index, factsKey(gateway)));
    const { namespace, labels } = gatewaySubject(gateway, mesh);
    const hashOf = (host: string, port: number): HashKey | undefined => {
      const service = visibleService(host, namespace, registry, reader);
      if (service === undefined) return undefined;
      const rule = destinationRuleFor(service, { namespace, labels }, mesh, destinationRules, reader);
      return effectivePolicy(rule, undefined, port, mesh).loadBalancer?.consistentHash?.hashKey;
    };
    return gatewayRouteTables(gateway, { inputs, reader }).map((table) =>
      encodeResource(RouteConfigurationSchema, table.name, routeTable(gateway, table, attached, { mesh, hashOf })),
    );
  });
}

function perGateway(
  graph: CollectionGraph,
  name: string,
  { inputs, groups }: Pick<RouterSources, "inputs" | "groups">,
  write: (gateway: GatewayFacts, mesh: MeshSettings, reader: CollectionReader) => readonly EncodedResource[],
): Collection<ScopedEncodedResource> {
  const routers = deriveRouterGroups(graph, groups);
  return graph.derive(
    name,
    inputs.gateways,
    (gateway, reader) => {
      const mesh = reader.get(inputs.mesh, meshKey);
      if (mesh === undefined || !isIngressClass(gateway.spec.gatewayClassName, inputs, reader)) return [];
      const own = isManaged(gateway)
        ? [{ group: factsKey(gateway), gateway }]
        : manualDeployments(gateway, inputs, routers, reader);
      return own.flatMap(({ group, gateway: deployed }) => {
        const proxyConfig = isManaged(gateway)
          ? proxyConfigOfGateway(group, inputs, reader)
          : reader.get(groups, group)?.proxyConfig;
        return write(deployed, withOwnProxyConfig(mesh, proxyConfig), reader).map((resource) =>
          scopedEntry(group, resource),
        );
      });
    },
    sameScopedResource,
  );
}
