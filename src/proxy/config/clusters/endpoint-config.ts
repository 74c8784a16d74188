import { isIP } from "node:net";
import { unknownWorkload, type WorkloadLabels } from "../../terms/workload-labels.ts";
import {
  HealthStatus,
  type ClusterLoadAssignment,
  type Endpoint,
  type LbEndpoint,
  type LocalityLbEndpoints,
  type Metadata,
} from "../../../wire/envoy/index.ts";
import { hbonePort } from "../../../wire/hbone/index.ts";
import type { EndpointConfig, EndpointTransport } from "../../upstream/endpoint.ts";
import type { EndpointStatus } from "../../upstream/preferred-endpoint.ts";
import { invalid, unsupported } from "../config-check.ts";
import type { TransportKind, TransportRules } from "../transport-config.ts";

type EndpointLocality = NonNullable<EndpointConfig["locality"]>;

export type EndpointSource = ClusterLoadAssignment | undefined;
/** Where endpoints come from: the cluster's own configuration, or endpoint discovery (EDS). */
export type EndpointOrigin = "static" | "discovered";

/** The internal listener through which Istio's proxies enter a tunnel. */
const tunnelListener = "connect_originate";
/** The internal listener through which connections reach the gateway of another network. */
const doubleTunnelListener = "inner_connect_originate";

/**
 * Compiles the endpoints of one assignment for one cluster. Throws an error that names what cannot be served.
 *
 * A Unix socket is left out, and so is a discovered address that is not an IP address. `tell` gets a note about each.
 * Any user's ServiceEntry may contain such an address, and a NACK would delay everyone who waits for this proxy's
 * acknowledgement.
 */
export function compileEndpoints(
  assignment: EndpointSource,
  transports: TransportRules,
  where: string,
  tell: (note: string) => void = () => undefined,
  origin: EndpointOrigin = "static",
): EndpointConfig[] {
  const out: EndpointConfig[] = [];
  for (const locality of assignment?.endpoints ?? []) {
    if (locality.lbConfig.case !== undefined) throw unsupported(where, locality.lbConfig.case);
    const place = placeOf(locality);
    for (const endpoint of locality.lbEndpoints) {
      if (endpoint.hostIdentifier.case !== "endpoint") throw unsupported(where, "an endpoint by name");
      const { value } = endpoint.hostIdentifier;
      const unusable = unusableAddress(value, origin);
      if (unusable !== undefined) {
        tell(`${where}: ${unusable}`);
        continue;
      }
      out.push({
        ...compileEndpoint(endpoint, value, transports, where),
        priority: locality.priority,
        locality: place,
      });
    }
  }
  return out;
}

/** Why an endpoint gets no requests. Undefined if its address can be used. */
function unusableAddress(target: Endpoint, origin: EndpointOrigin): string | undefined {
  const address = target.address?.address;
  if (address?.case === "pipe") return "an endpoint that is a Unix socket gets no requests";
  if (origin === "static" || address?.case !== "socketAddress" || isIP(address.value.address) !== 0) return undefined;
  return "an endpoint whose address is not an IP address gets no requests";
}

function placeOf({ locality, loadBalancingWeight: weight = 0 }: LocalityLbEndpoints): EndpointLocality {
  return { name: locality === undefined ? "" : `${locality.region}/${locality.zone}/${locality.subZone}`, weight };
}

function compileEndpoint(
  endpoint: LbEndpoint,
  target: Endpoint,
  transports: TransportRules,
  where: string,
): Omit<EndpointConfig, "priority" | "locality"> {
  const address = addressOf(endpoint, target, transports, where);
  return {
    ...address,
    weight: endpoint.loadBalancingWeight ?? 1,
    ...healthOf(endpoint.healthStatus),
    hostname: target.hostname === "" ? undefined : target.hostname,
    workload: workloadOf(endpoint.metadata),
    ...transports.socketOptions,
  };
}

function healthOf(given: HealthStatus): Pick<EndpointConfig, "healthy" | "status"> {
  const healthy = given === HealthStatus.UNKNOWN || given === HealthStatus.HEALTHY || given === HealthStatus.DEGRADED;
  const status = endpointStatuses[given];
  return status === undefined ? { healthy } : { healthy, status };
}

const statusNames: Readonly<Record<HealthStatus, EndpointStatus>> = {
  [HealthStatus.UNKNOWN]: "unknown",
  [HealthStatus.HEALTHY]: "healthy",
  [HealthStatus.DEGRADED]: "degraded",
  [HealthStatus.DRAINING]: "draining",
  [HealthStatus.UNHEALTHY]: "unhealthy",
  [HealthStatus.TIMEOUT]: "timeout",
};
/**
 * The names of the statuses by their numbers. Undefined for a number that this enumeration lacks, which a control plane
 * may send.
 */
export const endpointStatuses: Readonly<Record<number, EndpointStatus | undefined>> = statusNames;

function addressOf(
  endpoint: LbEndpoint,
  target: Endpoint,
  transports: TransportRules,
  where: string,
): Pick<EndpointConfig, "address" | "port" | "transport" | "proxyHeader" | "innerTls"> {
  const address = target.address?.address;
  const chosen = transports.choose(metadataOf(endpoint.metadata, "envoy.transport_socket_match"));
  const proxied = chosen.proxyHeader === undefined ? {} : { proxyHeader: chosen.proxyHeader };
  if (address?.case === "envoyInternalAddress") {
    const listener = address.value.addressNameSpecifier.value ?? "";
    const inside = {
      ...proxied,
      ...(chosen.kind === "internal" && chosen.tls !== undefined ? { innerTls: chosen.tls } : {}),
    };
    if (listener === doubleTunnelListener) return { ...doubleTunnelTo(endpoint.metadata, where), ...inside };
    if (listener !== tunnelListener)
      return { address: listener, port: 0, transport: { kind: "internal", listener }, ...inside };
    return { ...tunnelTo(address.value.endpointId, endpoint.metadata, where), ...inside };
  }
  if (address?.case !== "socketAddress") throw unsupported(where, `an endpoint with ${address?.case ?? "no address"}`);
  const { value } = address;
  if (value.portSpecifier.case !== "portValue") throw unsupported(where, "a named port");
  return { address: value.address, port: value.portSpecifier.value, transport: directTransport(chosen), ...proxied };
}

/**
 * The transport to endpoints with real addresses. An endpoint that is an internal listener has the same transport
 * inside its tunnel. This is how a waypoint reaches pods outside of the mesh.
 */
export function directTransport(chosen: TransportKind): Extract<EndpointTransport, { readonly kind: "plain" | "tls" }> {
  if (chosen.kind === "plain") return { kind: "plain" };
  return chosen.tls === undefined ? { kind: "plain" } : { kind: "tls", tls: chosen.tls };
}

/**
 * Whether these endpoints only lead into a tunnel to the connection's own destination, as in Istio's cluster `encap`.
 */
export function entersTunnel(assignment: EndpointSource): boolean {
  const endpoints = (assignment?.endpoints ?? []).flatMap(({ lbEndpoints }) => lbEndpoints);
  return endpoints.length > 0 && endpoints.every(isTunnelEntry);
}

function isTunnelEntry({ hostIdentifier, metadata }: LbEndpoint): boolean {
  const address = hostIdentifier.case === "endpoint" ? hostIdentifier.value.address?.address : undefined;
  if (address?.case !== "envoyInternalAddress") return false;
  const { addressNameSpecifier, endpointId } = address.value;
  return (
    addressNameSpecifier.value === tunnelListener &&
    endpointId === "" &&
    metadataOf(metadata, "envoy.filters.listener.original_dst")["local"] === undefined
  );
}

/**
 * The tunnel to an endpoint. In the endpoint's metadata, `original_dst.local` is the destination of the CONNECT.
 * `waypoint` is the other end of the tunnel if that is not the workload itself.
 */
function tunnelTo(endpointId: string, metadata: Metadata | undefined, where: string): ReturnType<typeof addressOf> {
  const destination = metadataOf(metadata, "envoy.filters.listener.original_dst");
  const authority = stringOf(destination["local"]) ?? endpointId;
  const inner = splitAddress(authority);
  if (inner === undefined) throw invalid(where, `"${authority}" is not an address and port to tunnel to`);
  const waypoint = stringOf(destination["waypoint"]);
  const outer = waypoint === undefined ? undefined : splitAddress(waypoint);
  if (waypoint !== undefined && outer === undefined)
    throw invalid(where, `"${waypoint}" is not an address and port of a waypoint`);
  const transport: EndpointTransport = {
    kind: "hbone",
    authority,
    address: outer?.address ?? inner.address,
    port: outer?.port ?? hbonePort,
    expectedIdentities: [],
  };
  return { ...inner, transport };
}

/**
 * The two nested tunnels through the gateway of another network. In the endpoint's metadata, `original_dst.local` is
 * the gateway's address. `double_hbone` names what to request from the gateway, and from the server behind the gateway.
 */
function doubleTunnelTo(metadata: Metadata | undefined, where: string): ReturnType<typeof addressOf> {
  const gateway = stringOf(metadataOf(metadata, "envoy.filters.listener.original_dst")["local"]);
  const outer = gateway === undefined ? undefined : splitAddress(gateway);
  if (outer === undefined) throw invalid(where, `"${gateway ?? ""}" is not an address and port of a gateway`);
  const target: unknown = metadataOf(metadata, "istio")["double_hbone"];
  const authority =
    typeof target === "object" && target !== null ? stringOf(Reflect.get(target, "hbone_target_address")) : undefined;
  if (authority === undefined)
    throw invalid(where, `double_hbone.hbone_target_address is missing for the gateway ${gateway ?? ""}`);
  return { ...outer, transport: { kind: "hbone", authority, ...outer, expectedIdentities: [], within: true } };
}

/** Splits `1.2.3.4:80`, `[::1]:80` or `host:80` into host and port. */
function splitAddress(text: string): { readonly address: string; readonly port: number } | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  const address = match?.[1] ?? match?.[2];
  return match === null || address === undefined ? undefined : { address, port: Number(match[3]) };
}

function metadataOf(metadata: Metadata | undefined, key: string): Readonly<Record<string, unknown>> {
  return metadata?.filterMetadata[key] ?? {};
}

function stringOf(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

/**
 * Reads the workload from Istio's metadata, which has the form `name;namespace;canonical name;canonical
 * revision;cluster`.
 */
function workloadOf(metadata: Metadata | undefined): WorkloadLabels {
  const text = stringOf(metadataOf(metadata, "istio")["workload"]);
  if (text === undefined) return unknownWorkload;
  const [workload, namespace, canonicalName, canonicalRevision, cluster] = text.split(";");
  return {
    workload: workload || unknownWorkload.workload,
    namespace: namespace || unknownWorkload.namespace,
    canonicalName: canonicalName || unknownWorkload.canonicalName,
    canonicalRevision: canonicalRevision || unknownWorkload.canonicalRevision,
    cluster: cluster || unknownWorkload.cluster,
  };
}

export interface DnsHost {
  readonly name: string;
  readonly port: number;
  readonly weight: number;
  readonly priority: number;
  readonly locality: EndpointLocality;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly workload: WorkloadLabels;
}

export function dnsHosts(assignment: EndpointSource, where: string): DnsHost[] {
  const out: DnsHost[] = [];
  for (const locality of assignment?.endpoints ?? []) {
    const place = placeOf(locality);
    for (const endpoint of locality.lbEndpoints) {
      const address =
        endpoint.hostIdentifier.case === "endpoint" ? endpoint.hostIdentifier.value.address?.address : undefined;
      if (address?.case !== "socketAddress" || address.value.portSpecifier.case !== "portValue")
        throw unsupported(where, "a DNS endpoint without host and port");
      out.push({
        name: address.value.address,
        port: address.value.portSpecifier.value,
        weight: endpoint.loadBalancingWeight ?? 1,
        priority: locality.priority,
        locality: place,
        metadata: metadataOf(endpoint.metadata, "envoy.transport_socket_match"),
        workload: workloadOf(endpoint.metadata),
      });
    }
  }
  return out;
}

/**
 * The endpoints of a DNS cluster, from the present addresses of its names. With `oneForEachName`, the addresses of a
 * name are one endpoint, as in Envoy's LOGICAL_DNS.
 */
export function resolvedEndpoints(
  hosts: readonly DnsHost[],
  addresses: ReadonlyMap<string, readonly string[]>,
  transports: TransportRules,
  oneForEachName: boolean,
): EndpointConfig[] {
  return hosts.flatMap((host) => {
    const found = addresses.get(host.name) ?? [];
    const transport = transports.choose(host.metadata);
    return (oneForEachName ? found.slice(0, 1) : found).map((address) => ({
      address,
      ...(oneForEachName && found.length > 1 ? { alternatives: found.slice(1) } : {}),
      port: host.port,
      transport: directTransport(transport),
      ...(transport.proxyHeader === undefined ? {} : { proxyHeader: transport.proxyHeader }),
      weight: host.weight,
      priority: host.priority,
      locality: host.locality,
      healthy: true,
      hostname: host.name,
      workload: host.workload,
      ...transports.socketOptions,
    }));
  });
}
