import type { Collection, CollectionGraph, CollectionReader } from "../../../kube/index.ts";
import type { ServiceModel } from "../../model/service/service-model.ts";
import { anyL4Route, type MeshModel } from "../mesh-model.ts";
import {
  type ListenerServices,
  listenerServices,
  type OutboundPort,
  portService,
  type PortService,
} from "./outbound-port.ts";
import type { ResolvedService } from "./outbound-route.ts";

/** The parts of a port that are equal for all scopes with the same list of services. */
export interface SharedPort {
  readonly entries: readonly PortService[];
  readonly services: readonly ResolvedService[];
  readonly listeners: ListenerServices;
}

/** The shared ports by {@link OutboundPort.shared}. */
export type SharedPorts = Collection<SharedPort>;

type PortList = Pick<OutboundPort, "port" | "clusterId" | "dnsCapture" | "services" | "protocol">;

export function deriveSharedPorts(
  graph: CollectionGraph,
  ports: Collection<OutboundPort>,
  model: MeshModel,
): SharedPorts {
  const lists = graph.derive(
    "port-lists",
    ports,
    ({ shared, port, clusterId, dnsCapture, services, protocol }): readonly (readonly [string, PortList])[] =>
      shared === undefined ? [] : [[shared, { port, clusterId, dnsCapture, services, protocol }]],
    (left, right) => left.services === right.services,
  );
  return graph.derive("shared-ports", lists, (list, reader, key) => [[key, sharedPort(list, model, reader)]], samePort);
}

/** All scopes with the same list of services share the result. */
export function sharedPortOf(
  port: OutboundPort,
  shared: SharedPorts,
  model: MeshModel,
  reader: CollectionReader,
): SharedPort {
  const found = port.shared === undefined ? undefined : reader.get(shared, port.shared);
  return found?.entries === port.services ? found : sharedPort(port, model, reader);
}

function sharedPort(list: PortList, model: MeshModel, reader: CollectionReader): SharedPort {
  const { port, protocol, services: entries } = list;
  const models = new Map<PortService, ServiceModel | undefined>(
    entries.map((entry) => [entry, portService(list, entry, model.registry, reader)]),
  );
  const services = entries.flatMap((entry): ResolvedService[] => {
    const service = models.get(entry);
    const own =
      service?.ports.find((candidate) => candidate.port === port) ??
      (protocol === undefined ? undefined : service?.ports[0]);
    return service === undefined || own === undefined
      ? []
      : [{ service, port: own.port === port ? own : { ...own, port } }];
  });
  return {
    entries,
    services,
    listeners: listenerServices(port, entries, (entry) => models.get(entry), anyL4Route(model, reader)),
  };
}

/**
 * Whether two ports are equal. Objects are compared by identity, because an unchanged service model stays the same
 * object.
 */
function samePort(left: SharedPort, right: SharedPort): boolean {
  return (
    left.entries === right.entries &&
    left.listeners.rest.length === right.listeners.rest.length &&
    left.services.length === right.services.length &&
    left.services.every(({ service }, index) => service === right.services[index]?.service)
  );
}
