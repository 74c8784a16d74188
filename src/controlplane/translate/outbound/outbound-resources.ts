import { connectOriginateListener } from "../connect-originate.ts";
import { withOwnProxyConfig } from "../../../api/istio/index.ts";
import {
  structurallyEqual,
  type Collection,
  type CollectionGraph,
  type CollectionReader,
} from "../../../kube/index.ts";
import type { WithheldPort } from "../../model/limit-reports.ts";
import { NameTableSchema } from "../../../wire/discovery/index.ts";
import { ClusterSchema, ListenerSchema, type Cluster } from "../../../wire/envoy/index.ts";
import { destinationRuleFor } from "../../model/destination-rule-model.ts";
import { meshKey, type MeshSettings } from "../../model/facts.ts";
import type { MeshInputs } from "../../model/mesh-inputs.ts";
import type { EndpointModel } from "../../model/service/service-endpoint-model.ts";
import { getEndpoints } from "../../model/service/service-endpoints.ts";
import {
  isVisible,
  registeredService,
  serviceInCluster,
  withAutomaticAddresses,
  destinationService,
  type ServiceModel,
} from "../../model/service/service-model.ts";
import type { VirtualServiceModel } from "../../model/routing/virtual-service-model.ts";
import {
  blackHoleCluster,
  blackHoleName,
  connectOriginateCluster,
  connectOriginateName,
  passthroughName,
} from "../cluster.ts";
import { passthroughCluster } from "../passthrough-cluster.ts";
import { deriveOutboundClusters, type OutboundClusters } from "./outbound-clusters.ts";
import { doubleTunnelClusters, doubleTunnelNames, ingressCrossesNetworks } from "../double-tunnel.ts";
import { l4RoutesToService, type MeshModel } from "../mesh-model.ts";
import { dynamicDnsCluster, forwardsUnknownHosts } from "./dynamic-dns.ts";
import { nameTable } from "./outbound-name-table.ts";
import { outboundListeners, virtualOutboundListener, type ListenerPort } from "./outbound-listener.ts";
import { deriveOutboundPorts, listenerParts, type OutboundPort, portService } from "./outbound-port.ts";
import { l4VirtualService } from "../routing/route-layer4.ts";
import { deriveSharedPorts, sharedPortOf, type SharedPorts } from "./outbound-shared-port.ts";
import { deriveOutboundRoutes, type OutboundRoutes } from "./outbound-route-tables.ts";
import {
  type EncodedResource,
  encodeResource,
  sameResource,
  sameScopedResource,
  type ScopedEncodedResource,
  scopedEntry,
} from "../resource.ts";
import { TelemetryPolicies } from "../telemetry/telemetry-policies.ts";

export interface OutboundResources {
  /** Clusters that belong to no service, by name. */
  readonly fixedClusters: Collection<EncodedResource>;
  /** Clusters that belong to no service but depend on the scope. */
  readonly scopedClusters: Collection<ScopedEncodedResource>;
  readonly clusters: OutboundClusters;
  /** Listeners of sidecars, by scope. */
  readonly listeners: readonly Collection<ScopedEncodedResource>[];
  readonly routes: OutboundRoutes;
  readonly nameTables: Collection<ScopedEncodedResource>;
  /** The ports at which a VirtualService does not apply, by `<VirtualService>|<scope>|<port>`. */
  readonly withheldPorts: Collection<WithheldPort>;
}

export function deriveOutboundResources(graph: CollectionGraph, model: MeshModel): OutboundResources {
  const telemetry = new TelemetryPolicies(model.inputs);
  const ports = deriveOutboundPorts(graph, model.scopes.scopes, model.virtualServices);
  const shared = deriveSharedPorts(graph, ports, model);
  return {
    withheldPorts: graph.derive(
      "withheld-routes",
      ports,
      ({ withheld, port }, _, key) =>
        withheld.map((name) => [`${name}|${key}`, { virtualService: name, port }] as const),
      structurallyEqual,
    ),
    fixedClusters: deriveFixedClusters(graph, model.inputs),
    scopedClusters: deriveScopedClusters(graph, model),
    clusters: deriveOutboundClusters(graph, model.scopes.scopes, model),
    listeners: [deriveFixedListeners(graph, model, telemetry), deriveListeners(graph, ports, shared, model, telemetry)],
    routes: deriveOutboundRoutes(graph, ports, shared, model),
    nameTables: deriveNameTables(graph, model),
  };
}

function deriveScopedClusters(
  graph: CollectionGraph,
  { inputs, scopes }: MeshModel,
): Collection<ScopedEncodedResource> {
  return graph.derive(
    "cds-dynamic-dns",
    scopes.scopes,
    (scope, reader) => {
      const settings = reader.get(inputs.mesh, meshKey);
      if (settings === undefined || scope.kind !== "sidecar" || !forwardsUnknownHosts(scope)) return [];
      const cluster = dynamicDnsCluster(scope, withOwnProxyConfig(settings, scope.proxyConfig));
      return [scopedEntry(scope.scope, encodeResource(ClusterSchema, cluster.name, cluster))];
    },
    sameScopedResource,
  );
}

function deriveFixedListeners(
  graph: CollectionGraph,
  { inputs, scopes, registry }: MeshModel,
  telemetry: TelemetryPolicies,
): Collection<ScopedEncodedResource> {
  return graph.derive(
    "lds-outbound-fixed",
    scopes.scopes,
    (scope, reader) => {
      const settings = reader.get(inputs.mesh, meshKey);
      if (settings === undefined || scope.kind !== "sidecar") return [];
      const mesh = withOwnProxyConfig(settings, scope.proxyConfig);
      const serviceOf = (host: string) => destinationService(host, scope.namespace, registry, reader);
      const listeners = [
        virtualOutboundListener({
          mesh,
          port: scope,
          serviceOf,
          telemetry: telemetry.telemetryFor(
            { namespace: scope.namespace, labels: scope.labels },
            "outbound",
            mesh,
            reader,
          ),
        }),
        ...(scope.hbone ? [connectOriginateListener()] : []),
      ];
      return listeners.map((listener) =>
        scopedEntry(scope.scope, encodeResource(ListenerSchema, listener.name, listener)),
      );
    },
    sameScopedResource,
  );
}

function deriveListeners(
  graph: CollectionGraph,
  ports: Collection<OutboundPort>,
  shared: SharedPorts,
  model: MeshModel,
  policies: TelemetryPolicies,
): Collection<ScopedEncodedResource> {
  const parts = graph.derive("listener-parts", ports, (port, reader) => {
    const virtualServices = port.virtualServices.filter(
      (key) => reader.get(model.virtualServices.layer4, key) !== undefined,
    );
    const whole = { ...port, virtualServices };
    return port.bind === undefined && port.protocol === undefined
      ? listenerParts(whole, sharedPortOf(port, shared, model, reader).listeners)
      : [[`${port.scope}|${port.port}`, whole] as const];
  });
  return graph.derive(
    "lds-outbound",
    parts,
    (port, reader) => {
      const resolved = resolvePort(port, model, model.virtualServices.layer4, reader);
      if (resolved === undefined) return [];
      const telemetry = policies.telemetryFor(
        { namespace: port.namespace, labels: port.labels },
        "outbound",
        resolved.mesh,
        reader,
      );
      const l4Routes = resolved.services.flatMap(({ service, port: own }) =>
        l4RoutesToService(service, own.port, port.namespace, model, reader).map((route) =>
          l4VirtualService(route, service, own.port),
        ),
      );
      return outboundListeners({
        ...resolved,
        virtualServices: [...l4Routes, ...resolved.virtualServices],
        telemetry,
      }).map((listener) => scopedEntry(port.scope, encodeResource(ListenerSchema, listener.name, listener)));
    },
    sameScopedResource,
  );
}

/** Derives the name table of each proxy. A proxy has only one, so the resource has no name. */
function deriveNameTables(
  graph: CollectionGraph,
  { inputs, scopes, registry, endpoints }: MeshModel,
): Collection<ScopedEncodedResource> {
  return graph.derive(
    "nds",
    scopes.scopes,
    (scope, reader) => {
      const mesh = reader.get(inputs.mesh, meshKey);
      if (!scope.dnsCapture || mesh === undefined) return [];
      const services = scope.services
        .flatMap((entry) => registeredService(entry, registry, reader) ?? [])
        .map((service) => withAutomaticAddresses(serviceInCluster(service, scope.clusterId)));
      // Only gateways lead to addresses in other networks, so DNS leaves those out.
      const isNear = ({ network }: EndpointModel): boolean =>
        network === "" || (scope.network ?? "") === "" || network === scope.network;
      const endpointsOf = (service: ServiceModel): readonly EndpointModel[] =>
        service.ports.flatMap((port) => getEndpoints(endpoints, service, port.port, reader).filter(isNear));
      const table = nameTable(services, endpointsOf, { namespace: scope.namespace, domain: mesh.domain });
      return [scopedEntry(scope.scope, encodeResource(NameTableSchema, "", table))];
    },
    sameScopedResource,
  );
}

function resolvePort(
  port: OutboundPort,
  model: MeshModel,
  virtualServices: Collection<VirtualServiceModel>,
  reader: CollectionReader,
): Omit<ListenerPort, "telemetry"> | undefined {
  const settings = reader.get(model.inputs.mesh, meshKey);
  if (settings === undefined) return undefined;
  const mesh = withOwnProxyConfig(settings, port.proxyConfig);
  const { namespace, labels } = port;
  const serviceOf = (host: string): ServiceModel | undefined =>
    destinationService(host, namespace, model.registry, reader);
  const ruleOf = (host: string) =>
    destinationRuleFor(
      serviceOf(host) ?? { hostname: host, namespace: "" },
      { namespace, labels },
      mesh,
      model.destinationRules,
      reader,
    );
  return {
    port,
    mesh,
    services: port.services.flatMap((entry) => {
      const service = portService(port, entry, model.registry, reader);
      const own =
        service?.ports.find((candidate) => candidate.port === port.port) ??
        (port.protocol === undefined ? undefined : service?.ports[0]);
      return service === undefined || own === undefined ? [] : { service, port: { ...own, port: port.port } };
    }),
    virtualServices: port.virtualServices.flatMap((key) => reader.get(virtualServices, key) ?? []),
    serviceOf,
    ruleOf,
    aliasesOf: (host) =>
      reader
        .lookup(model.registry.aliases, host)
        .filter((alias) => isVisible(alias, namespace))
        .map((alias) => alias.hostname),
    endpointsOf: (service, number) => getEndpoints(model.endpoints, service, number, reader),
  };
}

/** Gateways have no passthrough cluster, because their connections have no original destination. */
export function fixedClusterNames(kind: "sidecar" | "router", hbone: boolean): readonly string[] {
  return [
    blackHoleName,
    ...(kind === "sidecar" ? [passthroughName] : []),
    ...(hbone ? [connectOriginateName] : []),
    ...(hbone && kind === "router" ? doubleTunnelNames : []),
  ];
}

const fixed: Readonly<Record<string, (mesh: MeshSettings) => Cluster>> = {
  [connectOriginateName]: connectOriginateCluster,
  [blackHoleName]: blackHoleCluster,
  [passthroughName]: passthroughCluster,
};

function deriveFixedClusters(graph: CollectionGraph, inputs: MeshInputs): Collection<EncodedResource> {
  const clustersOf = (mesh: MeshSettings): readonly Cluster[] => [
    ...Object.values(fixed).map((build) => build(mesh)),
    ...(ingressCrossesNetworks(mesh) ? doubleTunnelClusters(mesh) : []),
  ];
  return graph.derive(
    "cds-fixed",
    inputs.mesh,
    (mesh) =>
      clustersOf(mesh).map((cluster) => [cluster.name, encodeResource(ClusterSchema, cluster.name, cluster)] as const),
    sameResource,
  );
}
