import { fromBinary, toJson, type DescMessage, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import type { KindDefinition, KubernetesObject } from "../api/index.ts";
import type { CollectionStats, Informer } from "../kube/index.ts";
import { AddressSchema, AuthorizationSchema } from "../wire/workload/index.ts";
import type { EnvoyTypes } from "../wire/envoy-types/index.ts";
import { typeUrls } from "../wire/xds/index.ts";
import { endpointsKey, localityText, type EndpointModel } from "./model/service/service-endpoint-model.ts";
import type { ServiceEndpoints } from "./model/service/service-endpoints.ts";
import type { ServiceModel, ServiceRegistry } from "./model/service/service-model.ts";
import type { NetworkGatewaysModel } from "./model/network-gateways.ts";
import type { OutboundScope } from "./model/index.ts";
import type { MultiClusterServiceForm } from "./multi-cluster-answer.ts";
import {
  json,
  proxyConfigDump,
  streamResources,
  syncStatus,
  type DebugRoute,
  type DiscoveryServer,
  type HttpAnswer,
  type ProxyIdentity,
} from "./serve/index.ts";
import type { AmbientResources, EncodedResource } from "./translate/index.ts";

export interface DebugSources {
  readonly discovery: DiscoveryServer;
  readonly registry: ServiceRegistry;
  readonly endpoints: ServiceEndpoints;
  readonly networkGateways: NetworkGatewaysModel;
  /** Ztunnels' resources. The first request derives them. */
  readonly ambient: () => AmbientResources;
  /** Kinds of configuration with all their objects as last seen. */
  readonly configuration: () => readonly {
    readonly kind: ConfiguredKind;
    readonly informer: Pick<Informer<KubernetesObject>, "list">;
  }[];
  readonly rootNamespace: () => string;
  readonly multiCluster: () => readonly MultiClusterServiceForm[];
  /** The mesh config as written, without defaults. */
  readonly meshConfig: () => unknown;
  readonly types: () => EnvoyTypes;
  /** Undefined for proxies that have none. */
  readonly outboundScopeOf: (proxy: ProxyIdentity) => OutboundScope | undefined;
  readonly collections: () => readonly { readonly name: string; readonly stats: CollectionStats }[];
}

export type ConfiguredKind = Pick<KindDefinition, "group" | "versions" | "kind">;

/** The maximum number of entries in one answer. In larger meshes, the request must name a namespace. */
const maxListed = 20_000;

/** Limits the number of entries in an answer. A longer answer is refused, with a hint at a narrower request. */
class TooMany extends Error {}

class Budget {
  #left = maxListed;

  take(count = 1): void {
    this.#left -= count;
    if (this.#left < 0) throw new TooMany();
  }
}

/**
 * The control plane's state, at upstream's paths below `/debug/` and in its forms. `?namespace=` filters objects that
 * have one.
 */
export function inspectionRoutes(sources: DebugSources): Readonly<Record<string, DebugRoute>> {
  const { discovery } = sources;
  return {
    "/debug/syncz": () => json(syncStatus(discovery)),
    "/debug/config_dump": (url) => {
      const proxy = url.searchParams.get("proxyID") ?? "";
      const found = proxyConfigDump(discovery, proxy, sources.types());
      return found === undefined
        ? { status: 404, body: `proxy "${proxy}" is not connected to this control plane\n` }
        : json(found);
    },
    "/debug/adsz": (url) => bounded((budget) => clients(discovery, url, budget, true)),
    "/debug/connections": (url) => bounded((budget) => clients(discovery, url, budget, false)),
    "/debug/edsz": (url) => dump(sources, url, typeUrls.endpoint),
    "/debug/ndsz": (url) => dump(sources, url, typeUrls.nameTable),
    "/debug/ecdsz": (url) => dump(sources, url, typeUrls.extensionConfig),
    "/debug/registryz": (url) =>
      bounded((budget) => services(sources, url).map((service) => (budget.take(), serviceForm(service)))),
    "/debug/endpointz": (url) => bounded((budget) => endpointShards(sources, url, budget)),
    "/debug/endpointShardz": (url) => bounded((budget) => endpointShards(sources, url, budget)),
    "/debug/instancesz": (url) => bounded((budget) => instances(sources, url, budget)),
    "/debug/configz": (url) =>
      bounded((budget) => configured(sources, url).map(({ object }) => (budget.take(), object))),
    "/debug/resourcesz": () =>
      json(
        sources.configuration().map(({ kind: { group, versions, kind } }) => ({ group, version: versions[0], kind })),
      ),
    "/debug/authorizationz": (url) =>
      bounded((budget) => ({
        authorization_policies: byNamespace(sources, url, budget, "AuthorizationPolicy", "namespace_to_policies"),
      })),
    "/debug/telemetryz": (url) =>
      bounded((budget) => ({
        telemetries: byNamespace(sources, url, budget, "Telemetry", "namespace_to_telemetries"),
      })),
    "/debug/networkz": () => json(gateways(sources)),
    // Upstream answers null if there are none.
    "/debug/mcsz": () =>
      bounded((budget) => {
        const found = sources.multiCluster();
        budget.take(found.length);
        return found.length === 0 ? null : found;
      }),
    "/debug/ambientz": () => bounded((budget) => ambient(sources, budget)),
    "/debug/mesh": () => json(sources.meshConfig() ?? {}),
    "/debug/sidecarz": (url) => sidecarScope(sources, url),
    "/debug/krtz": () =>
      json(
        sources
          .collections()
          .map(({ name, stats }, index) => ({ uid: index + 1, name, state: { synced: true, ...stats } })),
      ),
  };
}

/** Upstream's pages about internals that Serin does not have. Each answer says where to look instead. */
const withoutCounterpart: Readonly<Record<string, string>> = {
  "/debug/cachez":
    "this control plane has no cache of responses to show or to clear: it encodes each resource once, when its inputs change; see /debug/krtz for the resources",
  "/debug/inject":
    "the built-in templates are code of this control plane, not text; custom templates are in the ConfigMap istio-sidecar-injector, and serin kube-inject shows the injected pod",
  "/debug/push_status":
    "this control plane does not push the whole mesh, so there is no push status: see /debug/syncz for what each proxy has, and /metrics for rejections",
  "/debug/pushcontext":
    "this control plane has no push context: see /debug/configz, /debug/registryz, /debug/endpointShardz and /debug/sidecarz for the sources of the proxies' configuration",
};

/**
 * Adds the list of all paths as upstream has it (without the common prefix and without the list itself), and an HTML
 * page.
 */
export function withIndex(routes: Readonly<Record<string, DebugRoute>>): Readonly<Record<string, DebugRoute>> {
  const paths = Object.keys(routes)
    .filter((path) => path.startsWith("/debug/"))
    .toSorted();
  const links = [...paths, "/debug/list"].map((path) => `<li><a href="${path}">${path}</a></li>\n`);
  return {
    ...Object.fromEntries(
      Object.entries(withoutCounterpart).map(([path, words]) => [
        path,
        (): HttpAnswer => ({ status: 501, body: `${words}\n` }),
      ]),
    ),
    ...routes,
    "/debug/list": () => json(paths.map((path) => path.slice("/debug/".length))),
    "/debug": () => ({
      status: 200,
      contentType: "text/html; charset=utf-8",
      body: `<!doctype html>\n<title>istiod</title>\n<ul>\n${links.join("")}</ul>\n`,
    }),
  };
}

function bounded(answer: (budget: Budget) => unknown): HttpAnswer {
  try {
    return json(answer(new Budget()));
  } catch (error) {
    if (!(error instanceof TooMany)) throw error;
    return {
      status: 413,
      body: `there are more than ${maxListed} entries; select one namespace with ?namespace=, or one proxy with ?proxyID=\n`,
    };
  }
}

function wantedNamespace(url: URL): string | undefined {
  return url.searchParams.get("namespace") ?? undefined;
}

function isWanted(url: URL, namespace: string): boolean {
  const wanted = wantedNamespace(url);
  return wanted === undefined || wanted === namespace;
}

/** Upstream accepts any part of a connection's id as a proxy's name. */
function streamsOf({ streams }: DiscoveryServer, url: URL) {
  const wanted = url.searchParams.get("proxyID") ?? "";
  return [...streams]
    .filter(({ proxy }) => isWanted(url, proxy.namespace) && proxy.id.includes(wanted))
    .sort((left, right) => (left.proxy.id < right.proxy.id ? -1 : 1));
}

const notConnected: HttpAnswer = {
  status: 404,
  body: "Proxy not connected to this Pilot instance. It may be connected to another instance.\n",
};

function clients(discovery: DiscoveryServer, url: URL, budget: Budget, watches: boolean): unknown {
  const found = streamsOf(discovery, url).map(({ proxy, connectedAtMs, subscriptions }) => {
    budget.take();
    const base = {
      connectionId: `${proxy.id}-${connectedAtMs}`,
      connectedAt: new Date(connectedAtMs).toISOString(),
      address: proxy.address,
    };
    if (!watches) return base;
    const watched = [...subscriptions.values()].map(
      ({ typeUrl, names }) => (budget.take(names.size), [typeUrl, [...names]] as const),
    );
    return {
      ...base,
      labels: proxy.labels,
      metadata: {
        ...proxy.metadata,
        NAMESPACE: proxy.namespace,
        CLUSTER_ID: proxy.clusterId,
        ISTIO_VERSION: proxy.version,
      },
      watches: Object.fromEntries(watched),
    };
  });
  return { totalClients: found.length, clients: found };
}

/** The resources of one type that a proxy should have now. */
function dump({ discovery, types }: DebugSources, url: URL, typeUrl: string): HttpAnswer {
  if (!url.searchParams.has("proxyID"))
    return { status: 400, body: "You must provide a proxyID in the query string\n" };
  const [stream] = streamsOf(discovery, url);
  if (stream === undefined) return notConnected;
  return bounded((budget) => ({
    configs: streamResources(stream, typeUrl, types()).map((resource) => (budget.take(), resource)),
  }));
}

/** The part of the mesh that the proxy's Sidecar selects, or everything that is exported to its namespace. */
function sidecarScope(sources: DebugSources, url: URL): HttpAnswer {
  if (!url.searchParams.has("proxyID"))
    return { status: 400, body: "You must provide a proxyID in the query string\n" };
  const [stream] = streamsOf(sources.discovery, url);
  if (stream === undefined) return notConnected;
  const { proxy } = stream;
  const scope = sources.outboundScopeOf(proxy);
  if (scope === undefined)
    return {
      status: 404,
      body: `proxy "${proxy.id}" has no scope: a Sidecar does not limit ztunnels and waypoints, and a sidecar has no scope until its pod is known\n`,
    };
  return bounded((budget) => {
    const { kubernetes, imported, entries } = sources.registry;
    const formsOf = (scoped: OutboundScope["services"]): readonly Readonly<Record<string, unknown>>[] =>
      scoped.flatMap(({ key, registry, ports }) => {
        budget.take();
        const service = registry === "Kubernetes" ? (kubernetes.get(key) ?? imported.get(key)) : entries.get(key);
        return service === undefined
          ? []
          : [serviceForm({ ...service, ports: service.ports.filter(({ port }) => ports.includes(port)) })];
      });
    const services = formsOf(scope.services);
    const [namespace = proxy.namespace, name = "default-sidecar"] = scope.sidecar?.split("/") ?? [];
    const object = sources
      .configuration()
      .flatMap(({ kind, informer }) => (kind.kind === "Sidecar" ? [...informer.list()] : []))
      .find(({ metadata }) => metadata.namespace === namespace && metadata.name === name);
    return {
      name,
      namespace,
      outboundTrafficPolicy: scope.unknownTraffic === "REGISTRY_ONLY" ? {} : { mode: scope.unknownTraffic },
      services,
      egressListenerServices: scope.egress.map((listener) => formsOf(listener.services)),
      servicesByHostname: Object.fromEntries(services.map((service) => [service["hostname"], service])),
      sidecar: object !== undefined && "spec" in object ? object.spec : null,
    };
  });
}

function services({ registry }: DebugSources, url: URL): readonly ServiceModel[] {
  return [...registry.kubernetes.values(), ...registry.imported.values(), ...registry.entries.values()]
    .filter(({ namespace }) => isWanted(url, namespace))
    .sort((left, right) => compare(left.hostname, right.hostname) || compare(left.namespace, right.namespace));
}

function compare(left: string, right: string): number {
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

/** Upstream's numbers. */
const resolutions: Readonly<Record<ServiceModel["resolution"], number>> = {
  endpoints: 0,
  dns: 1,
  passthrough: 2,
  "dns-round-robin": 3,
  alias: 4,
  "dynamic-dns": 5,
};

function protocolName(protocol: string): string {
  return protocol === "unknown" ? "UnsupportedProtocol" : protocol.toUpperCase();
}

function serviceForm(service: ServiceModel): Readonly<Record<string, unknown>> {
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
      ExportTo: Object.fromEntries(visibleIn.map((one) => [one, {}])),
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

function endpointsOf(
  { endpoints }: DebugSources,
  { registry, namespace, hostname }: ServiceModel,
  port: number,
): readonly EndpointModel[] {
  const key = endpointsKey(`${namespace}/${hostname}`, port);
  if (registry !== "Kubernetes") return endpoints.entries.get(key) ?? [];
  return endpoints.kubernetes.get(key) ?? endpoints.remote.get(key) ?? endpoints.imported.get(key) ?? [];
}

/** The endpoints by host, namespace and `registry/cluster`. */
function endpointShards(sources: DebugSources, url: URL, budget: Budget): unknown {
  const found: Record<
    string,
    Record<string, { readonly Shards: Record<string, unknown[]>; ServiceAccounts: string[] }>
  > = {};
  for (const service of services(sources, url)) {
    const accounts = new Set<string>();
    const shards: Record<string, unknown[]> = {};
    for (const { name, port } of service.ports) {
      for (const endpoint of endpointsOf(sources, service, port)) {
        budget.take();
        if (endpoint.identity !== "") accounts.add(endpoint.identity);
        (shards[`${service.registry}/${endpoint.clusterId}`] ??= []).push(endpointForm(endpoint, service, name));
      }
    }
    if (Object.keys(shards).length > 0)
      (found[service.hostname] ??= {})[service.namespace] = {
        Shards: shards,
        ServiceAccounts: [...accounts].toSorted(),
      };
  }
  return found;
}

const healthy = 1;

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
    Locality: { Label: localityText(locality).replace(/\/+$/, ""), ClusterID: clusterId },
    EndpointPort: port,
    LbWeight: weight,
    TLSMode: mutualTls ? "istio" : "disabled",
    Namespace: namespace === "" ? service.namespace : namespace,
    WorkloadName: workloadName,
    HealthStatus: healthy,
    NodeName: node,
  };
}

/** The services of which each connected proxy is an endpoint. */
function instances(sources: DebugSources, url: URL, budget: Budget): unknown {
  const connected = streamsOf(sources.discovery, url);
  const targets = new Map<string, unknown[]>();
  const addresses = new Set(connected.map(({ proxy }) => proxy.address));
  for (const service of services(sources, new URL("http://localhost/"))) {
    for (const { name, port, protocol } of service.ports) {
      for (const endpoint of endpointsOf(sources, service, port)) {
        if (!addresses.has(endpoint.address)) continue;
        budget.take();
        const found = targets.get(endpoint.address) ?? [];
        targets.set(endpoint.address, found);
        found.push({
          Service: serviceForm(service),
          Port: { name, port, protocol: protocolName(protocol), TargetPort: endpoint.port },
        });
      }
    }
  }
  return Object.fromEntries(connected.map(({ proxy }) => [proxy.id, targets.get(proxy.address) ?? null]));
}

function configured(
  { configuration }: DebugSources,
  url: URL,
): readonly { readonly kind: ConfiguredKind; readonly object: KubernetesObject }[] {
  return configuration().flatMap(({ kind, informer }) =>
    [...informer.list()]
      .filter(({ metadata }) => isWanted(url, metadata.namespace ?? ""))
      .map((object) => ({
        kind,
        object: { ...object, apiVersion: `${kind.group}/${kind.versions[0]}`, kind: kind.kind },
      })),
  );
}

function byNamespace(sources: DebugSources, url: URL, budget: Budget, kind: string, list: string): unknown {
  const found: Record<string, unknown[]> = {};
  for (const { kind: definition, object } of configured(sources, url)) {
    if (definition.kind !== kind) continue;
    budget.take();
    const { name = "", namespace = "", annotations } = object.metadata;
    const annotated = kind === "AuthorizationPolicy" ? { annotations: annotations ?? null } : {};
    (found[namespace] ??= []).push({ name, namespace, ...annotated, spec: "spec" in object ? object.spec : {} });
  }
  return { [list]: found, root_namespace: sources.rootNamespace() };
}

function gateways({ networkGateways }: DebugSources): unknown {
  const all = [...networkGateways.resolved.values()].flatMap(({ all: found }) => found);
  return all.map(({ network, cluster, address, port, hbonePort }) => ({
    Network: network,
    Cluster: cluster,
    Addr: address,
    Port: port,
    HBONEPort: hbonePort,
    ServiceAccount: { Namespace: "", Name: "" },
  }));
}

function ambient(sources: DebugSources, budget: Budget): unknown {
  const { addresses, authorizations } = sources.ambient();
  const found = { workloads: [] as JsonValue[], services: [] as JsonValue[], policies: [] as JsonValue[] };
  const read = (desc: DescMessage, { any }: EncodedResource): JsonObject => (
    budget.take(),
    readable(toJson(desc, fromBinary(desc, fromBinary(AnySchema, any).value))) as JsonObject
  );
  for (const collection of addresses) {
    for (const resource of collection.values()) {
      const { workload, service } = read(AddressSchema, resource);
      if (workload !== undefined) found.workloads.push(workload);
      if (service !== undefined) found.services.push(service);
    }
  }
  for (const collection of authorizations)
    for (const resource of collection.values()) found.policies.push(read(AuthorizationSchema, resource));
  return found;
}

const addressLengths: ReadonlySet<number> = new Set([4, 16]);

/**
 * Prints the bytes of addresses as text. Like upstream, the text is then base64-encoded, because the field has bytes.
 */
function readable(value: JsonValue, field = ""): JsonValue {
  if (Array.isArray(value)) return value.map((inner) => readable(inner, field));
  if (typeof value === "object" && value !== null)
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, readable(inner, name)]));
  if (typeof value !== "string" || (field !== "address" && field !== "addresses")) return value;
  const bytes = Buffer.from(value, "base64");
  return addressLengths.has(bytes.length) ? Buffer.from(addressText(bytes)).toString("base64") : value;
}

function addressText(bytes: Buffer): string {
  // The host of a URL contains the address in its shortest form.
  return bytes.length === 4
    ? bytes.join(".")
    : new URL(`http://[${bytes.toString("hex").match(/.{4}/g)?.join(":") ?? ""}]`).hostname.slice(1, -1);
}
