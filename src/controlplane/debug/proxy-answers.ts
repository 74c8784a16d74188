import type { OutboundScope } from "../model/index.ts";
import { streamResources, type DiscoveryServer, type HttpAnswer } from "../serve/index.ts";
import { bounded, isWanted, type Budget } from "./bounded-answer.ts";
import type { InspectionSources } from "./inspection-sources.ts";
import { endpointsOf, protocolName, serviceForm, services } from "./registry-answers.ts";

/** The streams of the wanted proxies. As in upstream, a request may name a proxy by any part of its id. */
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

/** The connected proxies, with what each subscribes to if `withWatches` is set. */
export function clients(
  discovery: DiscoveryServer,
  url: URL,
  budget: Budget,
  { withWatches }: { readonly withWatches: boolean },
): unknown {
  const found = streamsOf(discovery, url).map(({ proxy, connectedAtMs, subscriptions }) => {
    budget.take();
    const base = {
      connectionId: `${proxy.id}-${connectedAtMs}`,
      connectedAt: new Date(connectedAtMs).toISOString(),
      address: proxy.address,
    };
    if (!withWatches) return base;
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

export function dump({ discovery, types }: InspectionSources, url: URL, typeUrl: string): HttpAnswer {
  if (!url.searchParams.has("proxyID"))
    return { status: 400, body: "You must provide a proxyID in the query string\n" };
  const [stream] = streamsOf(discovery, url);
  if (stream === undefined) return notConnected;
  return bounded((budget) => ({
    configs: streamResources(stream, typeUrl, types()).map((resource) => (budget.take(), resource)),
  }));
}

/**
 * The part of the mesh that the proxy's Sidecar selects or, without one, everything that is exported to its namespace.
 */
export function sidecarScope(sources: InspectionSources, url: URL): HttpAnswer {
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

/** The services of which each connected proxy is an endpoint. */
export function instances(sources: InspectionSources, url: URL, budget: Budget): unknown {
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
