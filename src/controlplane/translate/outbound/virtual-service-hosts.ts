import { hostCovers, isWildcard, meshGateway, type HttpMatch } from "../../../api/istio/index.ts";
import { factsKey } from "../../model/facts.ts";
import { mostSpecificHost } from "../../model/service/service-hostname.ts";
import type { ServiceModel } from "../../model/service/service-model.ts";
import type { VirtualServiceShape } from "../../model/routing/virtual-service-shape.ts";
import type { HostClient } from "./outbound-host.ts";
import type { OutboundPort } from "./outbound-port.ts";
import type { ResolvedService } from "./outbound-route.ts";
import { concernsClient } from "../routing/virtual-service-match.ts";
import { clientKey, clientOf, mayHash, type Candidate, type Origin } from "./host-candidate.ts";
import type { PlannedPort } from "./planned-port.ts";

/** The port on which VirtualServices also apply to hosts that no registry knows. */
const httpPort = 80;

/**
 * Hosts of VirtualServices: those of services without HTTPRoutes and, on plain HTTP's port, those that no registry
 * knows.
 */
export function virtualServiceCandidates(
  routed: readonly ResolvedService[],
  planned: PlannedPort,
): readonly Candidate[] {
  if (planned.virtualServices.length === 0) return [];
  const { port } = planned.port;
  const byHost = new Map(planned.services.map((entry) => [entry.service.hostname, entry.service]));
  const wildcards = new Map<string, boolean>();
  const isKnown = (host: string): boolean => {
    if (byHost.has(host)) return true;
    if (!isWildcard(host)) return false;
    const known = wildcards.get(host) ?? [...byHost.keys()].some((name) => hostCovers(host, name));
    wildcards.set(host, known);
    return known;
  };
  const masked: boolean[] = [];
  const isRouted = (index: number): boolean => {
    const shape = planned.virtualServices[index];
    if (planned.routed !== undefined) return planned.routed[index] === "1";
    return (masked[index] ??= shape !== undefined && hasRoutes(shape, planned.port));
  };
  const chosenBy = Map.groupBy(routed, chooser(planned.virtualServices, isRouted));
  return planned.virtualServices.flatMap((shape, index) => {
    const services = chosenBy.get(shape) ?? [];
    if ((services.length === 0 && port !== httpPort) || !isRouted(index)) return [];
    const planSource = virtualServiceSource(shape, byHost, planned);
    const others = shape.hosts.filter((host) => !isKnown(host));
    return [
      ...others.map((host) => ({ host, service: undefined, ...planSource })),
      ...services.map(({ service }) => ({ host: service.hostname, service, ...planSource })),
    ];
  });
}

function virtualServiceSource(
  shape: VirtualServiceShape,
  byHost: ReadonlyMap<string, ServiceModel>,
  planned: PlannedPort,
): Origin {
  const wanted = shape.http.flatMap((route) => route.destinations.map(({ host }) => host));
  const found = new Map(
    wanted.flatMap((host): [string, string][] => {
      const target = byHost.get(host)?.aliasOf ?? planned.targetOf(host);
      return target === undefined ? [] : [[host, target]];
    }),
  );
  const isPlain = wanted.every((host) => found.get(host) === "");
  const differs =
    shape.http.some(({ match }) =>
      match.some(
        ({ sourceLabels, sourceNamespace }) => sourceNamespace !== undefined || Object.keys(sourceLabels).length > 0,
      ),
    ) || wanted.some((host) => mayHash(planned, host));
  const virtualService = factsKey(shape);
  const { port } = planned.port;
  const origin = (client: HostClient | undefined): Origin => ({
    source: { from: "virtual-service", virtualService, port, client, destinations: isPlain ? undefined : found },
    key: `virtual-service ${virtualService} ${client === undefined ? "" : clientKey(client)} ${isPlain ? "" : JSON.stringify([...found])}`,
    ...(client === undefined ? {} : { forClient: origin }),
  });
  return origin(differs ? clientOf(planned.port) : undefined);
}

export function hasRoutes(shape: VirtualServiceShape, { port, namespace, labels }: OutboundPort): boolean {
  const client = { namespace, labels, gateway: meshGateway };
  const concerns = (match: HttpMatch): boolean =>
    (match.port === undefined || match.port === port) && concernsClient(match, client);
  return shape.http.some(({ match }) => match.length === 0 || match.some(concerns));
}

/**
 * Returns a function that finds the VirtualService of a service. It tries, in this order: the first one with its host
 * that has routes for the client and port, the first one with its host, and the first one with the most specific
 * wildcard. As in upstream, a VirtualService without routes for the client and port takes precedence only over
 * wildcards.
 */
function chooser(
  shapes: readonly VirtualServiceShape[],
  isRouted: (index: number) => boolean,
): (entry: ResolvedService) => VirtualServiceShape | undefined {
  const first = new Map<string, number>();
  for (const [index, shape] of shapes.entries())
    for (const host of shape.hosts) {
      const known = first.get(host);
      if (known === undefined || (!isWildcard(host) && !isRouted(known) && isRouted(index))) first.set(host, index);
    }
  const wildcards = [...first.keys()].filter(isWildcard);
  return ({ service: { hostname } }) => {
    const index =
      first.get(hostname) ??
      (wildcards.length === 0 ? undefined : first.get(mostSpecificHost(wildcards, hostname) ?? ""));
    return index === undefined ? undefined : shapes[index];
  };
}
