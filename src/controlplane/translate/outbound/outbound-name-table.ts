import { create } from "@bufbuild/protobuf";
import { NameTableSchema, type NameTable } from "../../../wire/discovery/index.ts";
import { isAddress } from "../../model/ip-address.ts";
import type { EndpointModel } from "../../model/service/service-endpoint-model.ts";
import type { ServiceModel } from "../../model/service/service-model.ts";

/** The proxy whose pod sends the DNS query. */
export interface NameClient {
  readonly namespace: string;
  /** `cluster.local`. */
  readonly domain: string;
}

/**
 * The DNS answers of a proxy for services: their addresses, or those of their endpoints if they have none. Names
 * without any address are left to upstream resolvers.
 */
export function nameTable(
  services: readonly ServiceModel[],
  endpointsOf: (service: ServiceModel) => readonly EndpointModel[],
  client: NameClient,
): NameTable {
  const table: NameTable["table"] = {};
  for (const service of services) {
    if (isForeign(service, client)) continue;
    const ips = addressesOf(service, endpointsOf);
    if (ips.length === 0) continue;
    // Give a host in clusterset.local no short names, because those mean the host in the cluster's domain.
    const own =
      service.registry === "Kubernetes" && service.clusterSet !== true
        ? { shortname: service.name, namespace: service.namespace }
        : { shortname: "", namespace: "" };
    table[service.hostname] = {
      $typeName: "istio.networking.nds.v1.NameTable.NameInfo",
      ips: [...ips],
      registry: service.registry,
      altHosts: [],
      ...own,
    };
  }
  return create(NameTableSchema, { table });
}

/**
 * Whether a service of another namespace has a host in Kubernetes' domain that it may not have. Names below a
 * namespace's domain belong to that namespace. A wildcard may match none of them (`*.shop.svc.cluster.local`,
 * `*.cluster.local`).
 *
 * A resolver first appends its search domains to every name. So such an entry, or one for
 * `api.github.com.shop.svc.cluster.local`, would get traffic of other namespaces to hosts outside the cluster.
 */
function isForeign({ hostname, namespace: owner }: ServiceModel, { namespace, domain }: NameClient): boolean {
  if (owner === namespace) return false;
  const services = `.svc.${domain}`;
  const namespaceOf = (host: string): string | undefined => host.slice(0, -services.length).split(".").at(-1);
  if (hostname.startsWith("*")) {
    const suffix = hostname.slice(1);
    return services.endsWith(suffix) || (suffix.endsWith(services) && namespaceOf(suffix) !== owner);
  }
  if (!hostname.endsWith(`.${domain}`)) return false;
  if (!hostname.endsWith(services)) return hostname.slice(0, -domain.length - 1).includes(".");
  return namespaceOf(hostname) !== owner && hostname.slice(0, -services.length).split(".").length !== 2;
}

function addressesOf(
  service: ServiceModel,
  endpointsOf: (service: ServiceModel) => readonly EndpointModel[],
): readonly string[] {
  if (service.addresses.length > 0) return service.addresses.filter(isAddress);
  return service.resolution === "passthrough"
    ? [...new Set(endpointsOf(service).map((endpoint) => endpoint.address))].filter(isAddress)
    : [];
}
