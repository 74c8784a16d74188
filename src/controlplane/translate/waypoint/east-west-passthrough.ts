import { istioLabels, withOwnProxyConfig } from "../../../api/istio/index.ts";
import type { Collection, CollectionGraph, CollectionReader } from "../../../kube/index.ts";
import { ClusterSchema, ListenerSchema, TrafficDirection, type Listener } from "../../../wire/envoy/index.ts";
import type { PolicySubject } from "../../model/authorization-selection.ts";
import { byAge, factsKey, meshKey, type GatewayFacts, type MeshSettings } from "../../model/facts.ts";
import { isEastWestClass } from "../../model/gateway-class.ts";
import { proxyConfigOfGateway } from "../../model/gateway/gateway-proxy-config.ts";
import { acceptingGateways } from "../../model/gateway/gateway-status.ts";
import type { L4RouteModel } from "../../model/gateway/l4-route-model.ts";
import { visibleService } from "../../model/service/service-model.ts";
import { connectOriginateCluster } from "../cluster.ts";
import { connectOriginateListener } from "../connect-originate.ts";
import { gatewayApiListeners } from "../gateway/gateway-api-listeners.ts";
import { sameScopedResource, type ScopedEncodedResource } from "../resource.ts";
import { SecurityPolicies } from "../security/security-filters.ts";
import { TelemetryPolicies } from "../telemetry/telemetry-policies.ts";
import type { EastWestResources } from "./east-west-resources.ts";
import { resolveFor } from "./waypoint-assignments.ts";
import { deriveOutboundClusters, deriveOutboundEndpoints, referencesOf } from "./waypoint-outbound.ts";
import { scoped, type Sources } from "./waypoint-sources.ts";

type Attached = (gateway: GatewayFacts, reader: CollectionReader) => readonly L4RouteModel[];

/**
 * What gateways between networks serve besides tunnels: TLS that they pass by its server name to the backends of
 * TLSRoutes, for example to their cluster's API server.
 */
export function deriveEastWestPassthrough(graph: CollectionGraph, sources: Sources): EastWestResources {
  const { inputs, l4Routes } = sources.model;
  const byGateway = l4Routes.map((routes) => routes.index("gateway", acceptingGateways));
  const attached: Attached = (gateway, reader) =>
    byGateway
      .flatMap((index) => reader.lookup(index, factsKey(gateway)))
      .sort((left, right) => byAge(left.route, right.route));
  const references = graph.derive("east-west-destinations", inputs.gateways, (gateway, reader) => {
    if (!isEastWestClass(gateway.spec.gatewayClassName, inputs, reader)) return [];
    const client = { key: factsKey(gateway), namespace: gateway.namespace, staysInNetwork: true };
    return referencesOf(client, attached(gateway, reader).flatMap(clustersOf));
  });
  const listeners = derivePassthroughListeners(graph, sources, attached);
  return {
    listeners,
    clusters: [
      deriveTunnelClusters(graph, sources, attached),
      deriveOutboundClusters(graph, "-east-west", sources, references),
    ],
    endpoints: deriveOutboundEndpoints(graph, "-east-west", sources, references),
  };
}

function clustersOf({ gateway: { backends } }: L4RouteModel): readonly string[] {
  return backends.flatMap(({ resolved }) => ("fault" in resolved ? [] : [resolved.cluster]));
}

function derivePassthroughListeners(
  graph: CollectionGraph,
  sources: Sources,
  attached: Attached,
): Collection<ScopedEncodedResource> {
  const { inputs, registry } = sources.model;
  const security = new SecurityPolicies(inputs);
  const telemetry = new TelemetryPolicies(inputs);
  const listenersOf = (gateway: GatewayFacts, mesh: MeshSettings, reader: CollectionReader): readonly Listener[] => {
    const subject = subjectOf(gateway);
    return gatewayApiListeners(gateway, {
      inputs,
      mesh,
      reader,
      security: security.filtersFor(subject, mesh, reader, { peer: "filter-state", clearRouteCache: true }),
      telemetry: telemetry.telemetryFor(subject, "gateway", mesh, reader),
      l4Routes: attached(gateway, reader),
      ruleOf: (host) => {
        const client = { key: factsKey(gateway), namespace: gateway.namespace };
        return resolveFor(client, visibleService(host, client.namespace, registry, reader), sources, reader)?.rule;
      },
    }).map((listener) => ({ ...listener, trafficDirection: TrafficDirection.INBOUND }));
  };
  return graph.derive(
    "lds-east-west-passthrough",
    inputs.gateways,
    (gateway, reader) => {
      const mesh = reader.get(inputs.mesh, meshKey);
      if (mesh === undefined || !isEastWestClass(gateway.spec.gatewayClassName, inputs, reader)) return [];
      const key = factsKey(gateway);
      const own = withOwnProxyConfig(mesh, proxyConfigOfGateway(key, inputs, reader));
      // As upstream does for a proxy that also ends tunnels, leave out a gateway's connection settings.
      const listeners = listenersOf(gateway, { ...own, connectionSettings: undefined }, reader);
      const all = listeners.length === 0 ? [] : [...listeners, connectOriginateListener()];
      return all.map((listener) => scoped(ListenerSchema, key, listener, listener.name));
    },
    sameScopedResource,
  );
}

/** The tunnels to backends that accept HBONE. Unlike in upstream, they have the gateway's own identity. */
function deriveTunnelClusters(
  graph: CollectionGraph,
  { model: { inputs } }: Sources,
  attached: Attached,
): Collection<ScopedEncodedResource> {
  return graph.derive(
    "cds-east-west-passthrough",
    inputs.gateways,
    (gateway, reader) => {
      const mesh = reader.get(inputs.mesh, meshKey);
      if (mesh === undefined || !isEastWestClass(gateway.spec.gatewayClassName, inputs, reader)) return [];
      if (attached(gateway, reader).length === 0) return [];
      const cluster = connectOriginateCluster(mesh);
      return [scoped(ClusterSchema, factsKey(gateway), cluster, cluster.name)];
    },
    sameScopedResource,
  );
}

/** The subject for policies. Like a waypoint, a gateway between networks obeys only policies that name it. */
function subjectOf({ name, namespace, labels, spec }: GatewayFacts): PolicySubject {
  return {
    namespace,
    labels: { ...labels, [istioLabels.gatewayName]: name },
    gateway: { name, className: spec.gatewayClassName },
    waypoint: true,
    services: [],
  };
}
