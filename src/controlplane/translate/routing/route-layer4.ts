import { meshGateway, type RouteDestination } from "../../../api/istio/index.ts";
import type { L4RouteModel } from "../../model/gateway/l4-route-model.ts";
import type { ServiceModel } from "../../model/service/service-model.ts";
import type { VirtualServiceModel } from "../../model/routing/virtual-service-model.ts";
import { unknownService } from "../cluster.ts";

/**
 * Converts a TLSRoute or TCPRoute that is attached to a Service's port to a VirtualService with the same meaning for
 * the Service's clients.
 */
export function l4VirtualService(
  { kind, route: { namespace, name, createdAt, spec }, mesh }: L4RouteModel,
  service: ServiceModel,
  port: number,
): VirtualServiceModel {
  const match = { destinationSubnets: [], port, sourceLabels: {}, gateways: [] };
  const nowhere = { host: unknownService, port: { number: port } };
  const used = mesh.backends.filter(({ weight }) => weight > 0);
  const route = used.map(({ resolved, weight }): RouteDestination => ({
    destination: "fault" in resolved ? nowhere : { host: resolved.host, port: { number: resolved.port } },
    weight,
  }));
  // A proxy would reject an empty list of clusters, and the whole listener with it, so name a cluster that is never
  // defined.
  if (used.length === 0 && mesh.backends.length > 0) route.push({ destination: nowhere, weight: 1 });
  const hostnames = spec.hostnames ?? [];
  return {
    namespace,
    name,
    createdAt,
    hosts: [service.hostname],
    gateways: [meshGateway],
    visibleIn: ["*"],
    http: [],
    tls:
      kind === "TLSRoute"
        ? [{ match: [{ ...match, sniHosts: hostnames.length === 0 ? [service.hostname] : [...hostnames] }], route }]
        : [],
    tcp: kind === "TCPRoute" ? [{ match: [match], route }] : [],
  };
}
