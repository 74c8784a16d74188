import { create } from "@bufbuild/protobuf";
import { matchesLabels } from "../../api/index.ts";
import { Cluster_DiscoveryType, ClusterSchema, type Cluster, type ClusterLoadAssignment } from "../../wire/envoy/index.ts";
import { serverNamesOf, type GatewayServerModel, type MergedGateway } from "../model/classic-gateway.ts";
import { destinationRuleFor, type DestinationRuleModel } from "../model/destination-rule-model.ts";
import type { Labels } from "../model/facts.ts";
import { getEndpoints } from "../model/service-endpoints.ts";
import { hostCovers } from "../model/service-hostname.ts";
import { visibleServices, type ServiceModel } from "../model/service-model.ts";
import { loadAssignment, localityGroups } from "./endpoints.ts";
import { durationOfMs, overAds } from "./envoy-any.ts";
import type { ClassicGatewayContext } from "./gateway-classic-context.ts";
import type { GatewayChain } from "./gateway-listener.ts";
import { tcpClusterFilters } from "./virtual-service-tcp.ts";

/** Only what Istio's clients say in ALPN: what comes through here meets mutual TLS at its end. */
const peerProtocols = ["istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"];

/** A port of a service, or of a subset of it, that mutual TLS is sent on to as it is. */
interface PassthroughTarget {
  /** In the server name of the TLS, and of the cluster. */
  readonly name: string;
  readonly service: ServiceModel;
  readonly port: number;
  readonly subset: { readonly name: string; readonly labels: Labels } | undefined;
  readonly rule: DestinationRuleModel | undefined;
}

/** Those of the mesh that the server's hosts cover. */
function targetsOf(server: GatewayServerModel, { model, mesh, namespace, labels, reader }: ClassicGatewayContext): readonly PassthroughTarget[] {
  const names = serverNamesOf(server);
  const services = visibleServices(model.registry, namespace, reader).filter(
    (service) => !service.meshExternal && (names.length === 0 || names.some((name) => hostCovers(name, service.hostname))),
  );
  return services.flatMap((service) => {
    const rule = destinationRuleFor(service, { namespace, labels }, mesh, model.destinationRules, reader);
    const subsets = [undefined, ...(rule?.subsets ?? [])];
    return service.ports.flatMap(({ port }) => subsets.map((subset) => ({ name: `outbound_.${port}_.${subset?.name ?? ""}_.${service.hostname}`, service, port, subset, rule })));
  });
}

/** A chain for each port of each service of the mesh, and for each of its subsets. */
export function autoPassthroughChains(server: GatewayServerModel, context: ClassicGatewayContext): readonly GatewayChain[] {
  const { mesh, accessLogs } = context;
  return targetsOf(server, context).map(({ name, rule, subset }) => ({
    serverNames: [name],
    applicationProtocols: peerProtocols,
    filters: tcpClusterFilters(name, { rule, subset: subset?.name, context: { mesh, role: "server", accessLogs } }),
  }));
}

/** The clusters that those chains lead to, with their endpoints: the ones alone that end mutual TLS themselves. */
export function autoPassthroughClusters(merged: MergedGateway, context: ClassicGatewayContext): readonly { readonly cluster: Cluster; readonly assignment: ClusterLoadAssignment }[] {
  const servers = merged.listeners.flatMap((listener) => listener.servers).filter((server) => server.tls?.mode === "AUTO_PASSTHROUGH");
  const targets = new Map(servers.flatMap((server) => targetsOf(server, context)).map((target) => [target.name, target]));
  return [...targets.values()].map(({ name, service, port, subset }) => {
    const cluster = create(ClusterSchema, {
      name,
      altStatName: `${name};`,
      connectTimeout: durationOfMs(context.mesh.connectTimeoutMs),
      clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.EDS },
      edsClusterConfig: { serviceName: name, edsConfig: overAds },
    });
    const wanted = subset?.labels ?? {};
    const isWanted = (labels: Labels): boolean => Object.keys(wanted).length === 0 || matchesLabels(wanted, labels);
    const endpoints = getEndpoints(context.model.endpoints, service, port, context.reader).filter((endpoint) => endpoint.mutualTls && isWanted(endpoint.labels));
    return { cluster, assignment: loadAssignment(name, localityGroups(endpoints, { hbone: false, healthKnown: true })) };
  });
}
