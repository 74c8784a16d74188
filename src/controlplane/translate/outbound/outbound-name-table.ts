import { create } from "@bufbuild/protobuf";
import { NameTableSchema, type NameTable } from "../../../wire/discovery/index.ts";
import { isAddress } from "../../model/ip-address.ts";
import type { EndpointModel } from "../../model/service/service-endpoint-model.ts";
import type { ServiceModel } from "../../model/service/service-model.ts";

export interface NameClient {
  readonly namespace: string;
  /** The cluster's DNS domain, for example `cluster.local`. */
  readonly domain: string;
}

/**
 * A proxy's DNS answers for services: a service's addresses or, if it has none, those of its endpoints. Names without
 * any address are left to other resolvers.
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
    // A host in clusterset.local has no short names, because those mean the host in the cluster's domain.
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
 * namespace's domain belong to that namespace. A wildcard must not cover such names (`*.shop.svc.cluster.local`,
 * `*.cluster.local`). Otherwise the service would also get traffic to hosts outside the cluster: a resolver first
 * appends its search domains to every name, so `api.github.com.shop.svc.cluster.local` would answer for
 * `api.github.com`.
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
