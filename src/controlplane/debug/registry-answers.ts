import { withoutEnd } from "../../base/index.ts";
import { compareText } from "../model/facts.ts";
import { endpointsKey, localityText, type EndpointModel } from "../model/service/service-endpoint-model.ts";
import { serviceKey, type ServiceModel } from "../model/service/service-model.ts";
import { isWanted, type Budget } from "./bounded-answer.ts";
import type { InspectionSources } from "./inspection-sources.ts";

export function services({ registry }: Pick<InspectionSources, "registry">, url: URL): readonly ServiceModel[] {
  return [...registry.kubernetes.values(), ...registry.imported.values(), ...registry.entries.values()]
    .filter(({ namespace }) => isWanted(url, namespace))
    .sort((left, right) => compareText(left.hostname, right.hostname) || compareText(left.namespace, right.namespace));
}

/** The numbers of upstream's enum `Resolution`. */
const resolutions: Readonly<Record<ServiceModel["resolution"], number>> = {
  endpoints: 0,
  dns: 1,
  passthrough: 2,
  "dns-round-robin": 3,
  alias: 4,
  "dynamic-dns": 5,
};

export function protocolName(protocol: string): string {
  return protocol === "unknown" ? "UnsupportedProtocol" : protocol.toUpperCase();
}

export function serviceForm(service: ServiceModel): Readonly<Record<string, unknown>> {
  const {
    registry,
    name,
    namespace,
    labels,
    selector,
    visibleIn,
    objectName,
    aliasOf,
    ports,
    subjectAltNames,
    createdAt,
    hostname,
    addresses,
    addressesByCluster,
    automaticAddresses = [],
    resolution,
    meshExternal,
  } = service;
  const isIpv6 = (address: string): boolean => address.includes(":");
  const [ipv4, ipv6] = [automaticAddresses.find((address) => !isIpv6(address)), automaticAddresses.find(isIpv6)];
  return {
    Attributes: {
      ServiceRegistry: registry,
      Name: name,
      Namespace: namespace,
      Labels: labels,
      ExportTo: Object.fromEntries(visibleIn.map((visible) => [visible, {}])),
      LabelSelectors: selector,
      ObjectName: objectName,
      ExternalName: aliasOf,
    },
    ports: ports.map(({ name: portName, port, protocol }) => ({
      name: portName,
      port,
      protocol: protocolName(protocol),
    })),
    ...(subjectAltNames.length === 0 ? {} : { serviceAccounts: subjectAltNames }),
    creationTime: createdAt,
    hostname,
    clusterVIPs: { Addresses: addressesByCluster ?? null },
    ...(addresses[0] === undefined ? {} : { defaultAddress: addresses[0] }),
    ...(ipv4 === undefined ? {} : { autoAllocatedIPv4Address: ipv4 }),
    ...(ipv6 === undefined ? {} : { autoAllocatedIPv6Address: ipv6 }),
    Resolution: resolutions[resolution],
    MeshExternal: meshExternal,
  };
}

export function endpointsOf(
  { endpoints }: Pick<InspectionSources, "endpoints">,
  service: ServiceModel,
  port: number,
): readonly EndpointModel[] {
  const { registry } = service;
  const key = endpointsKey(serviceKey(service), port);
  if (registry !== "Kubernetes") return endpoints.entries.get(key) ?? [];
  return endpoints.kubernetes.get(key) ?? endpoints.remote.get(key) ?? endpoints.imported.get(key) ?? [];
}

/** The endpoints by host, namespace and `registry/cluster`. */
export function endpointShards(
  sources: Pick<InspectionSources, "registry" | "endpoints" | "isClusterLocal">,
  url: URL,
  budget: Budget,
): unknown {
  const found = new Map<string, Map<string, object>>();
  for (const service of services(sources, url)) {
    const accounts = new Set<string>();
    const shards: Record<string, unknown[]> = {};
    const isLocal = sources.isClusterLocal(service.hostname);
    for (const { name, port } of service.ports) {
      for (const endpoint of endpointsOf(sources, service, port)) {
        budget.take();
        if (endpoint.identity !== "") accounts.add(endpoint.identity);
        const form = endpointForm(endpoint, service, name);
        (shards[`${service.registry}/${endpoint.clusterId}`] ??= []).push(
          isLocal || endpoint.discoverable === "cluster" ? { ...form, ClusterLocal: true } : form,
        );
      }
    }
    if (Object.keys(shards).length === 0) continue;
    const byNamespace = found.get(service.hostname) ?? new Map<string, object>();
    byNamespace.set(service.namespace, { Shards: shards, ServiceAccounts: [...accounts].toSorted() });
    found.set(service.hostname, byNamespace);
  }
  return Object.fromEntries([...found].map(([host, byNamespace]) => [host, Object.fromEntries(byNamespace)]));
}

/** The numbers of upstream's enum `HealthStatus`. */
const [healthy, unhealthy, draining] = [1, 2, 3];

function endpointForm(
  endpoint: EndpointModel,
  service: ServiceModel,
  portName: string,
): Readonly<Record<string, unknown>> {
  const { labels, address, port, identity, network, locality, clusterId, weight, workload, node, mutualTls } = endpoint;
  const [workloadName = "", namespace = ""] = workload.split(";");
  return {
    Labels: labels,
    Addresses: [address],
    ServicePortName: portName,
    ServiceAccount: identity,
    Network: network,
    Locality: { Label: withoutEnd(localityText(locality), "/"), ClusterID: clusterId },
    EndpointPort: port,
    LbWeight: weight,
    TLSMode: mutualTls ? "istio" : "disabled",
    Namespace: namespace === "" ? service.namespace : namespace,
    WorkloadName: workloadName,
    HealthStatus: endpoint.draining === true ? draining : endpoint.unready === true ? unhealthy : healthy,
    NodeName: node,
  };
}
