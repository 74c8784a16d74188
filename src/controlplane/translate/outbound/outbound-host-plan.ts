import type { AppProtocol, MeshSettings } from "../../model/facts.ts";
import { memos } from "../../model/memos.ts";
import type { ServiceModel } from "../../model/service/service-model.ts";
import type { HostPlan, RouteTable } from "./outbound-host.ts";
import { dynamicDnsName, forwardsUnknownHosts } from "./dynamic-dns.ts";
import { unknownRouteName, unknownTrafficCluster, type ResolvedService } from "./outbound-route.ts";
import { chooseHosts, isHttp } from "./chosen-hosts.ts";
import { plansFromCommon } from "./common-hosts.ts";
import type { PlannedPort } from "./planned-port.ts";

/**
 * The route configurations of a port. A service without a declared protocol gets its own one (named `host:port`) if no
 * other service has its address.
 */
export function planTables(planned: PlannedPort): readonly RouteTable[] {
  const hosts = planHosts(planned);
  const { port, scope } = planned.port;
  // The protocol that an egress listener declares takes precedence over the services', so nothing is detected there.
  const protocolOf = ({ port: own }: ResolvedService): AppProtocol => planned.port.protocol ?? own.protocol;
  const detected = new Set(
    planned.services.filter((entry) => protocolOf(entry) === "unknown" && planned.port.bind === undefined),
  );
  const ofServices = [...detected].flatMap(({ service }): RouteTable[] => {
    if (!hasAddress(service) && service.resolution !== "passthrough") return [];
    const name = `${service.hostname}:${port}`;
    const host = hosts.find((candidate) => candidate.name === name);
    return host === undefined
      ? []
      : [{ scope, name, hosts: [{ ...host, table: name, key: `${name} * ${host.key}`, domains: ["*"] }] }];
  });
  const shared = planned.services.some(
    (entry) => isHttp(protocolOf(entry)) && (!detected.has(entry) || !hasAddress(entry.service)),
  );
  return [...(shared ? [{ scope, name: String(port), hosts: [...hosts, unknownHost(planned)] }] : []), ...ofServices];
}

/** Whether a listener can be bound to an address of the service. A CIDR range is no such address. */
function hasAddress(service: ServiceModel): boolean {
  return service.addresses.some((address) => !address.includes("/"));
}

function planHosts(planned: PlannedPort): readonly HostPlan[] {
  return plansFromCommon(planned) ?? chooseHosts(planned).accepted.map(({ plan }) => plan);
}

/**
 * The virtual host for requests to unknown hosts. They go to their original destination or to the address of the host
 * that they name, or are rejected.
 */
function unknownHost({ port, mesh, serviceOf }: PlannedPort): HostPlan {
  const cluster = unknownHostCluster(port, serviceOf);
  const table = String(port.port);
  const key = `${table}/* ${cluster ?? ""}`;
  return unknownHosts.of(mesh, key, () => ({
    key,
    table,
    host: "*",
    name: unknownRouteName(cluster),
    domains: ["*"],
    source: { from: "unknown", cluster },
  }));
}

function unknownHostCluster(port: PlannedPort["port"], serviceOf: PlannedPort["serviceOf"]): string | undefined {
  if (port.unknownTraffic === "REGISTRY_ONLY" && port.egressProxy === undefined) return undefined;
  return forwardsUnknownHosts(port) ? dynamicDnsName : unknownTrafficCluster(port, serviceOf);
}

const unknownHosts = memos.keyed<MeshSettings, HostPlan>("unknown-host-plans");
