import { create } from "@bufbuild/protobuf";
import { NameTableSchema, type NameTable } from "../../../wire/discovery/index.ts";
import { isAddress } from "../../model/ip-address.ts";
import type { EndpointModel } from "../../model/service/service-endpoint-model.ts";
import type { ServiceModel } from "../../model/service/service-model.ts";

/**
 * The DNS answers of a proxy for services: their addresses, or those of their endpoints if they have none. Names
 * without any address are left to upstream resolvers.
 */
export function nameTable(
  services: readonly ServiceModel[],
  endpointsOf: (service: ServiceModel) => readonly EndpointModel[],
): NameTable {
  const table: NameTable["table"] = {};
  for (const service of services) {
    const ips = addressesOf(service, endpointsOf);
    if (ips.length === 0) continue;
    // Short names mean the host in the cluster's domain, so a host in clusterset.local has none.
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

function addressesOf(
  service: ServiceModel,
  endpointsOf: (service: ServiceModel) => readonly EndpointModel[],
): readonly string[] {
  if (service.addresses.length > 0) return service.addresses.filter(isAddress);
  return service.resolution === "passthrough"
    ? [...new Set(endpointsOf(service).map((endpoint) => endpoint.address))].filter(isAddress)
    : [];
}
