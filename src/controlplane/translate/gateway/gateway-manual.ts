import { matchesLabels } from "../../../api/index.ts";
import { istioLabels } from "../../../api/istio/index.ts";
import type { Collection, CollectionGraph, CollectionIndex, CollectionReader } from "../../../kube/index.ts";
import { byAge, factsKey, meshKey, type GatewayFacts, type Labels, type ServiceFacts } from "../../model/facts.ts";
import { gatewayHosts, isManaged } from "../../model/gateway/gateway-addresses.ts";
import type { MeshInputs } from "../../model/mesh-inputs.ts";
import type { ProxyGroup } from "../../model/scope-choice.ts";

/**
 * Proxies of a Gateway (Gateway API) that the user deployed. The Gateway names them by the address of their Service.
 */
export interface ManualDeployment {
  readonly group: string;
  /** The Gateway, with the ports on which the group's proxies listen: the target ports of the Service. */
  readonly gateway: GatewayFacts;
}

interface RouterGroup {
  readonly key: string;
  readonly namespace: string;
  readonly labels: Labels;
}

/** The proxy groups that belong to no Gateway, by namespace. */
export function deriveRouterGroups(
  graph: CollectionGraph,
  groups: Collection<ProxyGroup>,
): CollectionIndex<RouterGroup> {
  const routers = graph.derive("router-groups", groups, ({ kind, namespace, labels }, _reader, key) =>
    kind === "router" && labels[istioLabels.gatewayName] === undefined ? [[key, { key, namespace, labels }]] : [],
  );
  return routers.index("namespace", (group) => [group.namespace]);
}

/**
 * The groups of proxies that the user deployed for a Gateway. If several Gateways name one Service, it serves the
 * oldest.
 */
export function manualDeployments(
  gateway: GatewayFacts,
  inputs: MeshInputs,
  groups: CollectionIndex<RouterGroup>,
  reader: CollectionReader,
): readonly ManualDeployment[] {
  const services = servicesOf(gateway, inputs, reader);
  if (services.length === 0) return [];
  const byService = inputs.gateways.index("manual-namespace", (other) => (isManaged(other) ? [] : [other.namespace]));
  const rivals = reader
    .lookup(byService, gateway.namespace)
    .filter((other) => factsKey(other) !== factsKey(gateway) && byAge(other, gateway) < 0);
  const own = services.filter(
    (service) =>
      !rivals.some((other) => servicesOf(other, inputs, reader).some((taken) => factsKey(taken) === factsKey(service))),
  );
  return own.flatMap((service) =>
    reader
      .lookup(groups, gateway.namespace)
      .filter(({ labels }) => Object.keys(service.selector).length > 0 && matchesLabels(service.selector, labels))
      .map(({ key }) => ({ group: key, gateway: withTargets(gateway, service) })),
  );
}

function servicesOf(gateway: GatewayFacts, inputs: MeshInputs, reader: CollectionReader): readonly ServiceFacts[] {
  const mesh = reader.get(inputs.mesh, meshKey);
  if (mesh === undefined || isManaged(gateway)) return [];
  const suffix = `.${gateway.namespace}.svc.${mesh.domain}`;
  return gatewayHosts(gateway, mesh.domain).hosts.flatMap((host) =>
    host.endsWith(suffix)
      ? (reader.get(inputs.services, `${gateway.namespace}/${host.slice(0, -suffix.length)}`) ?? [])
      : [],
  );
}

function withTargets(gateway: GatewayFacts, service: ServiceFacts): GatewayFacts {
  const targets = service.ports.map(
    ({ port, target }) => [port, typeof target === "number" && target > 0 ? target : port] as const,
  );
  return { ...gateway, targetPorts: new Map(targets) };
}
