import { cidrOf } from "../../../base/index.ts";
import type { Parsed } from "../../parsed.ts";
import { Reader } from "../../reader.ts";
import { withJsonNames } from "./proto-json-names.ts";
import { readObjects, readPortNumber, readText, warnOfUnknown } from "../fields.ts";

/**
 * istio.mesh.v1alpha1.MeshNetworks, by network name: which endpoints each network has, and through which gateways other
 * networks reach them.
 */
export type MeshNetworks = Readonly<Record<string, MeshNetwork>>;

export interface MeshNetwork {
  /** Names of clusters whose endpoints all belong to the network. */
  readonly registries: readonly string[];
  /** Endpoints with an address in these ranges belong to the network, in any cluster. */
  readonly cidrs: readonly string[];
  readonly gateways: readonly MeshNetworkGateway[];
}

export interface MeshNetworkGateway {
  /** An address or a host name. Absent means the addresses of the Service that `registryServiceName` names. */
  readonly address?: string | undefined;
  /** The host name of a Service in one of {@link MeshNetwork.registries}. */
  readonly registryServiceName?: string | undefined;
  readonly port: number;
}

export function parseMeshNetworks(raw: unknown): Parsed<MeshNetworks> {
  const reader = Reader.ofProtoJson(withJsonNames(raw ?? {}));
  if (typeof (raw ?? {}) !== "object" || Array.isArray(raw)) reader.error("must be an object with the mesh's networks");
  const value = readObjects(reader, "networks", readNetwork);
  warnOfUnknown(reader);
  return reader.finish(() => value);
}

function readNetwork(reader: Reader): MeshNetwork {
  const endpoints = reader.objects("endpoints").map((entry) => {
    const found = { registry: readText(entry, "fromRegistry"), cidr: readText(entry, "fromCidr") };
    if ((found.registry === undefined) === (found.cidr === undefined))
      entry.error("must have either fromRegistry or fromCidr");
    if (found.cidr !== undefined && cidrOf(found.cidr) === undefined)
      entry.error(`must be a range of addresses such as 10.0.0.0/8, got "${found.cidr}"`, "fromCidr");
    warnOfUnknown(entry);
    return found;
  });
  const gateways = reader.objects("gateways").map(readGateway);
  warnOfUnknown(reader);
  return {
    registries: endpoints.flatMap(({ registry }) => registry ?? []),
    cidrs: endpoints.flatMap(({ cidr }) => cidr ?? []),
    gateways,
  };
}

function readGateway(reader: Reader): MeshNetworkGateway {
  const gateway = {
    address: readText(reader, "address"),
    registryServiceName: readText(reader, "registryServiceName")?.toLowerCase(),
    port: readPortNumber(reader, "port") ?? 0,
  };
  if ((gateway.address === undefined) === (gateway.registryServiceName === undefined))
    reader.error("must have either address or registryServiceName");
  if (gateway.port === 0) reader.error("must be set", "port");
  // Upstream also ignores this field. The locality of a gateway is that of its endpoints.
  if (reader.has("locality")) reader.warnNoEffect("has no effect here", "locality");
  warnOfUnknown(reader);
  return gateway;
}
