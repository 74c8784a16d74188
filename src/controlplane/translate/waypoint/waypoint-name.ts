import type { AppProtocol } from "../../model/facts.ts";
import type { ServiceModel } from "../../model/service/service-model.ts";
import { type Carried, carriedBy } from "../inbound-chain-match.ts";

/** How a waypoint takes what comes for a port: as requests, as connections, or as the first bytes tell. */
export type WaypointCarries = "http" | "tcp";

const kinds: Readonly<Record<Carried, readonly WaypointCarries[]>> = {
  http: ["http"],
  tcp: ["tcp"],
  sniffed: ["tcp", "http"],
};

export function carriedKinds(protocol: AppProtocol): readonly WaypointCarries[] {
  return kinds[carriedBy(protocol)];
}

/** `inbound-vip|80|http/v1|host`: a service, or a subset of it, behind its waypoint. */
export function vipName(port: number, carries: WaypointCarries, subset: string | undefined, host: string): string {
  return `inbound-vip|${port}|${carries}${subset === undefined || subset === "" ? "" : `/${subset}`}|${host}`;
}

/** Whether a cluster is one of what is behind the waypoint. */
export function isVipName(name: string): boolean {
  return name.startsWith("inbound-vip|");
}

/** The name that a route's `outbound|port|subset|host` has in the waypoint of that host; others keep theirs. */
export function inWaypoint(
  cluster: string,
  servedOf: (host: string) => Pick<ServiceModel, "ports"> | undefined,
): string {
  const [direction, portText, subset, host] = cluster.split("|");
  if (direction !== "outbound" || host === undefined) return cluster;
  const service = servedOf(host);
  if (service === undefined) return cluster;
  const port = Number(portText);
  const protocol = service.ports.find((candidate) => candidate.port === port)?.protocol ?? "http";
  return vipName(port, carriedKinds(protocol).includes("http") ? "http" : "tcp", subset, host);
}
