import type { Collection, CollectionGraph } from "../../../kube/index.ts";
import type { WaypointBindings } from "../../model/ambient/waypoint-bindings.ts";
import { compareText } from "../../model/facts.ts";
import { type ServiceModel, serviceKey } from "../../model/service/service-model.ts";
import type { MeshModel } from "../mesh-model.ts";
import { type ServedRegistry, type ServedService, servedKey } from "./waypoint-sources.ts";

interface BoundService extends ServedService {
  readonly namespace: string;
  readonly hostname: string;
  readonly createdAt: string;
}

/** The services behind each waypoint, those of Kubernetes first. */
export function deriveServedRegistries(
  graph: CollectionGraph,
  { registry }: MeshModel,
  bindings: WaypointBindings,
): readonly [services: ServedRegistry, entries: ServedRegistry] {
  const bound = (name: string, services: Collection<ServiceModel>): Collection<BoundService> =>
    graph.derive(name, services, (service, reader): Iterable<readonly [string, BoundService]> => {
      // Ambient mode knows only one service of a host in a namespace, that of the oldest entry.
      if (service.resolution === "alias" || service.variant !== undefined) return [];
      const { namespace, hostname, createdAt } = service;
      return bindings.waypointsOfService(service, reader).map(
        (waypoint) =>
          [
            servedKey(waypoint.key, serviceKey(service)),
            {
              waypoint: waypoint.key,
              service: serviceKey(service),
              vipHost: hostname,
              namespace,
              hostname,
              createdAt,
            },
          ] as const,
      );
    });
  const kubernetes = bound("waypoint-services", registry.kubernetes);
  const models = graph.derive("waypoint-entry-models", registry.entries, (service, _, key) => [
    [key, withOwnPorts(service)],
  ]);
  const entries = withOwnNames(graph, bound("waypoint-entries", models), kubernetes);
  return [
    {
      kind: "Service",
      services: registry.kubernetes,
      served: kubernetes,
      byWaypoint: kubernetes.index("waypoint", ({ waypoint }) => [waypoint]),
      suffix: "",
    },
    {
      kind: "ServiceEntry",
      services: models,
      served: entries,
      byWaypoint: entries.index("waypoint", ({ waypoint }) => [waypoint]),
      suffix: "-entries",
    },
  ];
}

/**
 * A service with only the ports of its own object. Policies name an object, so those for the oldest entry of a host
 * must not apply to the ports of other entries.
 */
function withOwnPorts(service: ServiceModel): ServiceModel {
  return service.ownPorts === undefined ? service : { ...service, ports: service.ownPorts };
}

/**
 * Gives each ServiceEntry a name that no other service of its waypoint has. Filter chains and clusters are named by it.
 * With the same names as another namespace's service, an entry could capture the requests for that service and bypass
 * its policies. The name of a Service is its host. Among ServiceEntries, one of the waypoint's own namespace keeps it,
 * or else the oldest. Clients reach the other entries by their addresses. The owner of each host is determined once,
 * because thousands of entries may have the same host.
 */
function withOwnNames(
  graph: CollectionGraph,
  entries: Collection<BoundService>,
  services: Collection<BoundService>,
): Collection<BoundService> {
  const hostOf = ({ waypoint, hostname }: BoundService): string => `${waypoint}|${hostname}`;
  const entriesByHost = entries.index("host", (entry) => [hostOf(entry)]);
  const servicesByHost = services.index("host", (service) => [hostOf(service)]);
  const hosts = graph.derive("waypoint-entry-hosts", entries, (entry) => [[hostOf(entry), hostOf(entry)] as const]);
  const owners = graph.derive("waypoint-host-owners", hosts, (host, reader): Iterable<readonly [string, string]> => {
    if (reader.lookup(servicesByHost, host).length > 0) return [];
    let first: BoundService | undefined;
    for (const entry of reader.lookup(entriesByHost, host))
      if (first === undefined || goesBefore(entry, first)) first = entry;
    return first === undefined ? [] : [[host, first.service]];
  });
  return graph.derive("waypoint-services-entries", entries, (entry, reader, key) => {
    const isOwner = reader.get(owners, hostOf(entry)) === entry.service;
    return [[key, isOwner ? entry : { ...entry, vipHost: entry.service }] as const];
  });
}

function goesBefore(left: BoundService, right: BoundService): boolean {
  const isForeign = ({ namespace, waypoint }: BoundService): number => (waypoint.startsWith(`${namespace}/`) ? 0 : 1);
  return (
    (isForeign(left) - isForeign(right) ||
      compareText(left.createdAt, right.createdAt) ||
      compareText(left.namespace, right.namespace)) < 0
  );
}
