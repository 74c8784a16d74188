import { hostCovers } from "../../../api/istio/index.ts";
import { create } from "@bufbuild/protobuf";
import {
  Cluster_DiscoveryType,
  ClusterSchema,
  HttpProtocolOptionsSchema,
  type Cluster,
  type ClusterLoadAssignment,
} from "../../../wire/envoy/index.ts";
import { serverNamesOf, type GatewayServerModel, type MergedGateway } from "../../model/gateway/classic-gateway.ts";
import { isClusterLocal } from "../../model/service/cluster-local.ts";
import {
  clusterEndpoints,
  clusterSubsets,
  destinationRuleFor,
  type DestinationRuleModel,
} from "../../model/destination-rule-model.ts";
import type { Labels } from "../../model/facts.ts";
import { gatewaysOf } from "../../model/network-gateways.ts";
import { sentEndpoints } from "../../model/service/service-endpoint-model.ts";
import { getAllEndpoints } from "../../model/service/service-endpoints.ts";
import { visibleServices, type ServiceModel, type ServicePortModel } from "../../model/service/service-model.ts";
import { clusterMetadataExchange } from "../cluster.ts";
import { packHttpOptions, useProtocolOf, type ClusterDraft } from "../cluster-draft.ts";
import { loadAssignment, localityGroups, speaksMutualTls } from "../endpoints.ts";
import { filterMetadata, overAds } from "../envoy-any.ts";
import type { ClassicGatewayContext } from "./gateway-classic-context.ts";
import type { GatewayChain } from "./gateway-listener.ts";
import { isSeenBy } from "../network-endpoints.ts";
import { serverNameOf } from "../outbound-cluster.ts";
import { applyTrafficPolicy, effectivePolicy, sendsUnready } from "../traffic-policy.ts";
import { tcpClusterFilters } from "../routing/virtual-service-tcp.ts";

/** The ALPN names of Istio's clients. No other client is accepted, because the server expects Istio's mutual TLS. */
const peerProtocols = ["istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"];

interface PassthroughTarget {
  /** The name of the cluster, and the server name by which a client's TLS selects it. */
  readonly name: string;
  readonly service: ServiceModel;
  readonly port: ServicePortModel;
  readonly subset: { readonly name: string; readonly labels: Labels } | undefined;
  readonly rule: DestinationRuleModel | undefined;
}

function targetsOf(
  server: GatewayServerModel,
  { model, mesh, namespace, labels, reader }: ClassicGatewayContext,
): readonly PassthroughTarget[] {
  const names = serverNamesOf(server);
  const services = visibleServices(model.registry, namespace, reader).filter(
    (service) =>
      !service.meshExternal && (names.length === 0 || names.some((name) => hostCovers(name, service.hostname))),
  );
  return services.flatMap((service) => {
    const rule = destinationRuleFor(service, { namespace, labels }, mesh, model.destinationRules, reader);
    const subsets = [undefined, ...clusterSubsets(rule, service.ports.length)];
    return service.ports.flatMap((port) =>
      subsets.map((subset) => ({
        name: serverNameOf(port.port, subset?.name, service.hostname),
        service,
        port,
        subset,
        rule,
      })),
    );
  });
}

/** A filter chain for each port of each service that the server's hosts cover, and of each of its subsets. */
export function autoPassthroughChains(
  server: GatewayServerModel,
  context: ClassicGatewayContext,
): readonly GatewayChain[] {
  const { mesh, telemetry } = context;
  return targetsOf(server, context).map(({ name, rule, subset }) => ({
    serverNames: [name],
    applicationProtocols: peerProtocols,
    filters: tcpClusterFilters(name, {
      rule,
      subset: subset?.name,
      untunnelled: true,
      context: { mesh, role: "server", telemetry },
    }),
  }));
}

function targetsOfGateway(merged: MergedGateway, context: ClassicGatewayContext): Iterable<PassthroughTarget> {
  const servers = merged.listeners
    .flatMap((listener) => listener.servers)
    .filter((server) => server.tls?.mode === "AUTO_PASSTHROUGH");
  return new Map(
    servers.flatMap((server) => targetsOf(server, context)).map((target) => [target.name, target]),
  ).values();
}

export function autoPassthroughClusters(merged: MergedGateway, context: ClassicGatewayContext): readonly Cluster[] {
  return Array.from(targetsOfGateway(merged, context), (target) => clusterOf(target, context));
}

/**
 * The cluster of a passed-through target. It is like a client's cluster, but without TLS, because the client speaks TLS
 * to the server.
 */
function clusterOf({ name, service, port, subset, rule }: PassthroughTarget, { mesh }: ClassicGatewayContext): Cluster {
  const draft: ClusterDraft = {
    http: create(HttpProtocolOptionsSchema, {}),
    cluster: create(ClusterSchema, {
      name,
      altStatName: `${name};`,
      clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.EDS },
      edsClusterConfig: { serviceName: name, edsConfig: overAds },
      commonLbConfig: { healthyPanicThreshold: {} },
      metadata: filterMetadata({
        istio: {
          services: [{ host: service.hostname, name: service.name, namespace: service.namespace }],
          ...(subset === undefined ? {} : { subset: subset.name }),
        },
      }),
      filters: [clusterMetadataExchange(mesh)],
    }),
  };
  useProtocolOf(draft, { protocol: port.protocol, followsClient: false, mesh });
  applyTrafficPolicy(draft, effectivePolicy(rule, subset?.name, port.port, mesh), {
    protocol: port.protocol,
    preference: service.preference,
    mesh,
  });
  packHttpOptions(draft);
  return draft.cluster;
}

/** The endpoints that terminate mutual TLS, for each cluster. */
export function autoPassthroughAssignments(
  merged: MergedGateway,
  context: ClassicGatewayContext,
): readonly ClusterLoadAssignment[] {
  const { model, mesh, place, reader } = context;
  const { network, clusterId = mesh.clusterId, networkView = [] } = place;
  const client = {
    network,
    clusterId,
    view: networkView.length === 0 ? undefined : networkView,
    gateways: gatewaysOf(model.networkGateways.resolved, reader),
  };
  return Array.from(targetsOfGateway(merged, context), ({ name, service, port, subset, rule }) => {
    const policy = effectivePolicy(rule, subset?.name, port.port, mesh);
    const options = { hbone: "never" as const, healthKnown: true, ruleTls: policy.tls?.mode, client };
    const clusterLocal = isClusterLocal(service.hostname, mesh);
    const all = clusterEndpoints(
      getAllEndpoints(model.endpoints, service, port.port, reader),
      rule,
      subset,
      service.ports.length,
    );
    const seen = all.filter((endpoint) => isSeenBy(client, endpoint, clusterLocal));
    const endpoints = sentEndpoints(seen, sendsUnready(service, policy, mesh)).filter((endpoint) =>
      speaksMutualTls(endpoint, options),
    );
    return loadAssignment(name, localityGroups(endpoints, options));
  });
}
