import type { MeshModel } from "../mesh-model.ts";
import { istioLabels, withOwnProxyConfig } from "../../../api/istio/index.ts";
import type { Collection, CollectionGraph, CollectionIndex, CollectionReader } from "../../../kube/index.ts";
import {
  ClusterLoadAssignmentSchema,
  ClusterSchema,
  ListenerSchema,
  RouteConfigurationSchema,
} from "../../../wire/envoy/index.ts";
import { mergeGateways, type MergedGateway } from "../../model/gateway/classic-gateway.ts";
import { byCreation, meshKey, type Labels, type ServiceFacts } from "../../model/facts.ts";
import {
  sameServerRoutes,
  serverRoutes,
  type ServerRoutes,
  type WithheldServers,
} from "../../model/gateway/server-routes.ts";
import { virtualServicesOf } from "../../model/routing/virtual-service-model.ts";
import { ProviderClusters } from "../../model/provider-cluster.ts";
import { selecting, selectorKeys } from "../../model/selection.ts";
import type { ProxyGroup } from "../../model/scope-choice.ts";
import { autoPassthroughAssignments, autoPassthroughClusters } from "./gateway-auto-passthrough.ts";
import type { ClassicGatewayContext } from "./gateway-classic-context.ts";
import { classicListener, classicRouteTable } from "./gateway-classic.ts";
import { tunnelListeners } from "./gateway-listener.ts";
import {
  type EncodedResource,
  encodeResource,
  sameScopedResource,
  type ScopedEncodedResource,
  scopedEntry,
} from "../resource.ts";
import { SecurityPolicies } from "../security/security-filters.ts";
import { TelemetryPolicies } from "../telemetry/telemetry-policies.ts";

/** The resources of networking.istio.io Gateways. Their scopes are keys of proxy groups. */
export interface ClassicGatewayResources {
  readonly listeners: Collection<ScopedEncodedResource>;
  readonly routes: Collection<ScopedEncodedResource>;
  /** The clusters for AUTO_PASSTHROUGH. All other clusters come from the proxies' outbound scope. */
  readonly clusters: Collection<ScopedEncodedResource>;
  readonly endpoints: Collection<ScopedEncodedResource>;
  /** The merged Gateways, by the group's key. */
  readonly merged: Collection<MergedGateway>;
  /** The servers at which VirtualServices have no routes, by `<VirtualService>|<group>`. */
  readonly withheldServers: Collection<WithheldServers>;
}

const everyPod = "any";

export function deriveClassicGatewayResources(graph: CollectionGraph, model: MeshModel): ClassicGatewayResources {
  const { scopes } = model;
  const merged = deriveMergedGateways(graph, model);
  const routes = deriveServerRoutes(graph, merged, model);
  const contextOf = contextMaker(model, routes);
  const perGroup = (
    name: string,
    write: (gateway: MergedGateway, context: ClassicGatewayContext, group: ProxyGroup) => readonly EncodedResource[],
  ): Collection<ScopedEncodedResource> =>
    graph.derive(
      name,
      merged,
      (gateway, reader, scope) => {
        const group = reader.get(scopes.groups, scope);
        const context = contextOf(group, gateway, scope, reader);
        if (group === undefined || context === undefined) return [];
        return write(gateway, context, group).map((resource) => scopedEntry(scope, resource));
      },
      sameScopedResource,
    );
  return {
    merged,
    withheldServers: graph.derive("withheld-servers", routes, ({ withheld }, _, scope) =>
      withheld.map((servers) => [`${servers.virtualService}|${scope}`, servers] as const),
    ),
    listeners: perGroup("lds-classic-gateways", (gateway, context, group) => {
      const listeners = gateway.listeners.flatMap((listener) => classicListener(listener, context) ?? []);
      const encoded = listeners.map((listener) => encodeResource(ListenerSchema, listener.name, listener));
      const tunnels = group.hbone ? tunnelListeners(context.mesh, context.model, context.reader) : [];
      return [...encoded, ...tunnels.map((listener) => encodeResource(ListenerSchema, listener.name, listener))];
    }),
    clusters: perGroup("cds-auto-passthrough", (gateway, context) =>
      autoPassthroughClusters(gateway, context).map((cluster) => encodeResource(ClusterSchema, cluster.name, cluster)),
    ),
    endpoints: perGroup("eds-auto-passthrough", (gateway, context) =>
      autoPassthroughAssignments(gateway, context).map((assignment) =>
        encodeResource(ClusterLoadAssignmentSchema, assignment.clusterName, assignment),
      ),
    ),
    routes: perGroup("rds-classic-gateways", (gateway, context) =>
      [...gateway.tables].map(([name, servers]) =>
        encodeResource(RouteConfigurationSchema, name, classicRouteTable(name, servers, context)),
      ),
    ),
  };
}

type ContextOf = (
  group: ProxyGroup | undefined,
  gateway: MergedGateway,
  scope: string,
  reader: CollectionReader,
) => ClassicGatewayContext | undefined;

function contextMaker(model: MeshModel, routes: Collection<ServerRoutes>): ContextOf {
  const { inputs } = model;
  const security = new SecurityPolicies(inputs);
  const telemetry = new TelemetryPolicies(inputs);
  const providers = new ProviderClusters(inputs);
  return (group, gateway, scope, reader) => {
    const settings = reader.get(inputs.mesh, meshKey);
    if (settings === undefined || group === undefined) return undefined;
    const mesh = withOwnProxyConfig(settings, group.proxyConfig);
    const { namespace, labels } = group;
    return {
      model,
      merged: gateway,
      // VirtualServices are read only on demand, so that most listeners do not depend on them.
      virtualServicesAt: (server) => reader.get(routes, scope)?.of.get(server) ?? [],
      mesh,
      namespace,
      labels,
      place: group,
      reader,
      secretService: providers.ofSecrets(mesh, reader),
      security: security.filtersFor(group, mesh, reader, { clearRouteCache: true }),
      telemetry: telemetry.telemetryFor(group, "gateway", mesh, reader),
    };
  };
}

function deriveServerRoutes(
  graph: CollectionGraph,
  merged: Collection<MergedGateway>,
  { scopes, virtualServices }: MeshModel,
): Collection<ServerRoutes> {
  return graph.derive(
    "gateway-server-routes",
    merged,
    (gateway, reader, scope) => {
      const group = reader.get(scopes.groups, scope);
      return group === undefined
        ? []
        : [
            [
              scope,
              serverRoutes(gateway, (name) => virtualServicesOf(name, group.namespace, virtualServices, reader)),
            ] as const,
          ];
    },
    sameServerRoutes,
  );
}

/**
 * Merges the Gateways that select a group of proxies. Proxies of the Gateway API are left out, because each serves only
 * its own Gateway.
 */
function deriveMergedGateways(graph: CollectionGraph, { inputs, scopes }: MeshModel): Collection<MergedGateway> {
  const gateways = inputs.istioGateways.index("selector", (gateway) =>
    isEmpty(gateway.spec.selector) ? [everyPod] : selectorKeys("", gateway.spec.selector),
  );
  const services = inputs.services.index("selector", (service) => selectorKeys(service.namespace, service.selector));
  const remoteServices = inputs.remote.services.index("selector", (service) =>
    selectorKeys(service.namespace, service.selector),
  );
  return graph.derive("merged-gateways", scopes.groups, (group, reader, key) => {
    if (group.kind !== "router" || group.labels[istioLabels.gatewayName] !== undefined) return [];
    const isScoped = reader.get(inputs.mesh, meshKey)?.gatewaysStayInNamespace === true;
    const selected = [
      ...reader.lookup(gateways, everyPod),
      ...selecting(gateways, "", group.labels, (gateway) => gateway.spec.selector, reader),
    ].filter((gateway) => !isScoped || gateway.namespace === group.namespace);
    return [
      [
        key,
        mergeGateways(selected.sort(byCreation), (port) =>
          targetPorts(port, group, group.clusterId === undefined ? services : remoteServices, reader),
        ),
      ],
    ];
  });
}

/**
 * The proxy listens on the target port of the Service's port that the Gateway names. Without a Service, it listens on
 * the port itself.
 */
function targetPorts(
  port: number,
  group: ProxyGroup,
  services: CollectionIndex<ServiceFacts>,
  reader: CollectionReader,
): readonly number[] {
  const own = selecting(services, group.namespace, group.labels, (service) => service.selector, reader).filter(
    ({ clusterId }) => clusterId === group.clusterId,
  );
  const targets = own.flatMap((service) =>
    service.ports.flatMap((candidate) =>
      candidate.port === port && typeof candidate.target === "number" ? candidate.target : [],
    ),
  );
  return targets.length === 0 ? [port] : [...new Set(targets)].sort((left, right) => left - right);
}

function isEmpty(labels: Labels): boolean {
  return Object.keys(labels).length === 0;
}
