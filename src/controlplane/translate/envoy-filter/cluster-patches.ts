import type { Cluster, TransportSocket } from "../../../wire/envoy/index.ts";
import { isMerge, type CompiledPatch } from "./compiled-patch.ts";
import type { Patching } from "./patching.ts";

/** Returns false if a patch removes the cluster. */
export function patchCluster(cluster: Cluster, patching: Patching): boolean {
  const services = servicesOf(cluster);
  for (const patch of patching.for("CLUSTER")) {
    if (!clusterMatches(cluster.name, services, patch)) continue;
    if (patch.operation === "REMOVE") return false;
    if (isMerge(patch.operation))
      patching.attempt(patch, () => mergeSocket(cluster, patch, patching) || patching.merge(cluster, patch));
  }
  return true;
}

export function mayMatchCluster(name: string, patch: CompiledPatch): boolean {
  return clusterMatches(name, undefined, patch);
}

/**
 * A patch with a transport socket changes only the socket. If the cluster has a socket of the same name, the
 * configurations are merged. Otherwise the patch replaces the socket, unless endpoints select among several.
 */
function mergeSocket(cluster: Cluster, patch: CompiledPatch, patching: Patching): boolean {
  const wanted = patching.valueOf<Cluster>(patch).transportSocket;
  if (wanted === undefined) return false;
  const socket = socketOf(cluster, wanted.name);
  if (socket === undefined) {
    if (cluster.transportSocketMatches.length === 0) cluster.transportSocket = wanted;
  } else if (socket.configType.case === "typedConfig" && wanted.configType.case === "typedConfig") {
    socket.configType.value = patching.mergedAny(socket.configType.value, wanted.configType.value);
  }
  return true;
}

function socketOf({ transportSocket, transportSocketMatches }: Cluster, name: string): TransportSocket | undefined {
  if (transportSocketMatches.length > 0)
    return transportSocketMatches.find((match) => match.transportSocket?.name === name)?.transportSocket;
  return transportSocket?.name === name ? transportSocket : undefined;
}

/**
 * The cluster's name has the form `direction|port|subset|host`, or `direction_.port_.subset_.host` where `|` is not
 * allowed.
 */
function clusterMatches(name: string, services: readonly string[] | undefined, { match }: CompiledPatch): boolean {
  const wanted = match.cluster;
  if (wanted === undefined) return true;
  if (wanted.name !== undefined) return wanted.name === name;
  const [direction = "", port = "", subset = "", host = ""] = name.includes("|") ? name.split("|") : name.split("_.");
  const hosts = direction === "inbound" && services?.length !== 0 ? services : [host];
  return (
    (wanted.subset === undefined || wanted.subset === subset) &&
    (wanted.service === undefined || hosts === undefined || hosts.includes(wanted.service)) &&
    (wanted.portNumber === undefined || wanted.portNumber === Number(port))
  );
}

/** The hosts of the services behind an inbound cluster. */
function servicesOf({ metadata }: Cluster): readonly string[] {
  const services: unknown = metadata?.filterMetadata["istio"]?.["services"];
  return Array.isArray(services)
    ? services.flatMap((service: unknown) =>
        typeof service === "object" && service !== null && "host" in service && typeof service.host === "string"
          ? service.host
          : [],
      )
    : [];
}
