import type { AppProtocol } from "../../model/facts.ts";
import type { ServiceModel } from "../../model/service/service-model.ts";
import { type Carried, carriedBy } from "../inbound-chain-match.ts";

/** How a waypoint handles a port. If a port has both kinds, the first bytes of a connection decide. */
export type WaypointCarries = "http" | "tcp";

const kinds: Readonly<Record<Carried, readonly WaypointCarries[]>> = {
  http: ["http"],
  tcp: ["tcp"],
  sniffed: ["tcp", "http"],
};

export function carriedKinds(protocol: AppProtocol): readonly WaypointCarries[] {
  return kinds[carriedBy(protocol)];
}

export interface VipService extends Pick<ServiceModel, "ports"> {
  /** The last part of the service's names, see {@link vipName}. */
  readonly vipHost: string;
}

/**
 * The name of the cluster and chain of a service or subset behind its waypoint: `inbound-vip|80|http/v1|host`, or with
 * `namespace/host` if another service behind the waypoint owns the host.
 */
export function vipName(port: number, carries: WaypointCarries, subset: string | undefined, vipHost: string): string {
  return `inbound-vip|${port}|${carries}${subset === undefined || subset === "" ? "" : `/${subset}`}|${vipHost}`;
}

export function isVipName(name: string): boolean {
  return name.startsWith("inbound-vip|");
}

/**
 * Changes a route's cluster name `outbound|port|subset|host` to that of the waypoint's own cluster, if the waypoint
 * serves the host. Other names stay unchanged.
 */
export function inWaypoint(cluster: string, servedOf: (host: string) => VipService | undefined): string {
  const [direction, portText, subset, host] = cluster.split("|");
  if (direction !== "outbound" || host === undefined) return cluster;
  const service = servedOf(host);
  if (service === undefined) return cluster;
  const port = Number(portText);
  const protocol = service.ports.find((candidate) => candidate.port === port)?.protocol ?? "http";
  return vipName(port, carriedKinds(protocol).includes("http") ? "http" : "tcp", subset, service.vipHost);
}
