import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import type { Collection, CollectionIndex, CollectionReader } from "../../../kube/index.ts";
import type { Waypoint, Waypoints } from "../../model/ambient/waypoint.ts";
import type { MeshSettings } from "../../model/facts.ts";
import { serviceKey, servicesOfHost, visibleService, type ServiceModel } from "../../model/service/service-model.ts";
import { isForwarded } from "../dynamic-forward-proxy.ts";
import type { MeshModel } from "../mesh-model.ts";
import { type ScopedEncodedResource, encodeResource, scopedEntry } from "../resource.ts";
import { waypointPortsOf } from "./waypoint-forwarding.ts";
import type { WaypointPort } from "./waypoint-listener.ts";
import { carriedKinds, vipName, type VipService } from "./waypoint-name.ts";
import { type WaypointRouteContext, waypointRoutes, waypointTcp } from "./waypoint-route.ts";

export interface ServedService {
  readonly waypoint: string;
  readonly service: string;
  /**
   * The last part of the names of its filter chains and clusters: its host, or `namespace/host` if another service
   * behind the waypoint owns the host.
   */
  readonly vipHost: string;
}

/** Services from Kubernetes, or from ServiceEntries. */
export interface ServedRegistry {
  readonly kind: "Service" | "ServiceEntry";
  readonly services: Collection<ServiceModel>;
  readonly served: Collection<ServedService>;
  readonly byWaypoint: CollectionIndex<ServedService>;
  readonly suffix: string;
}

export interface Sources {
  readonly model: MeshModel;
  readonly waypoints: Waypoints;
  readonly registries: readonly ServedRegistry[];
}

export function servedKey(waypoint: string, service: string): string {
  return `${waypoint}|${service}`;
}

export function scoped<Schema extends DescMessage>(
  schema: Schema,
  scope: string,
  message: MessageShape<Schema>,
  name: string,
): readonly [string, ScopedEncodedResource] {
  return scopedEntry(scope, encodeResource(schema, name, message));
}

/**
 * The inputs of a waypoint's routes. The waypoint serves a host itself if the host's service goes through it. As in
 * upstream Istio, that also holds for a service that is not exported to the waypoint's namespace.
 */
export function routeContext(
  waypoint: Waypoint,
  mesh: MeshSettings,
  { model, registries }: Sources,
  reader: CollectionReader,
): WaypointRouteContext {
  const served = (service: ServiceModel): VipService | undefined => {
    const own = registries.find(
      ({ kind }) => kind === (service.registry === "Kubernetes" ? "Service" : "ServiceEntry"),
    );
    const { namespace, hostname } = service;
    const found = own && reader.get(own.served, servedKey(waypoint.key, serviceKey({ namespace, hostname })));
    return found && { ports: service.ports, vipHost: found.vipHost };
  };
  const servedOf = (host: string): VipService | undefined => {
    const visible = visibleService(host, waypoint.namespace, model.registry, reader);
    if (visible !== undefined) return served(visible);
    for (const hidden of servicesOfHost(model.registry, host, reader)) {
      const own = served(hidden);
      if (own !== undefined) return own;
    }
    return undefined;
  };
  return { waypoint, model, mesh, reader, servedOf };
}

/**
 * The ports of a service behind a waypoint, with their routes or TCP targets. Routes to the service's own host lead to
 * this service, even if another one owns the host.
 */
export function portsOf(
  service: ServiceModel,
  { vipHost }: Pick<ServedService, "vipHost">,
  waypointContext: WaypointRouteContext,
): readonly WaypointPort[] {
  const forwarded = isForwarded(service);
  const context: WaypointRouteContext = {
    ...waypointContext,
    servedOf: (host) =>
      host === service.hostname ? { ports: service.ports, vipHost } : waypointContext.servedOf(host),
  };
  return waypointPortsOf(service, context.mesh).map(({ port, protocol }) => {
    const kinds = carriedKinds(protocol);
    const fallback = (carries: "http" | "tcp"): string => vipName(port, carries, undefined, vipHost);
    return {
      host: service.hostname,
      vipHost,
      port,
      protocol,
      routes: kinds.includes("http") ? waypointRoutes(service, port, fallback("http"), context) : [],
      ...(kinds.includes("tcp") ? waypointTcp(service, port, fallback("tcp"), context) : { targets: [] }),
      ...(forwarded ? { forwarded } : {}),
    };
  });
}
