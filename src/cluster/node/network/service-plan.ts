import { createHash } from "node:crypto";
import { isIPv4 } from "node:net";
import { cidrOf, isAddressOf, isInsideAddress } from "../../../base/index.ts";
import { keyOf } from "../../../api/index.ts";
import type { Endpoint, EndpointSlice, Service, ServicePort } from "../../../api/kubernetes/index.ts";
import { labNetwork } from "../../record/index.ts";

export interface ServiceEndpoint {
  readonly address: string;
  readonly port: number;
  /** Whether the endpoint is on this node. */
  readonly local: boolean;
}

export interface PlannedPort {
  /** The key `namespace/name/port/protocol`, which is also part of the names of its chains. */
  readonly key: string;
  /** When the Service was created. If several Services have the same external address, the oldest one gets it. */
  readonly createdAt: string;
  readonly protocol: "tcp" | "udp" | "sctp";
  readonly clusterAddresses: readonly string[];
  readonly externalAddresses: readonly string[];
  readonly port: number;
  readonly nodePort: number | undefined;
  readonly endpoints: readonly ServiceEndpoint[];
  /** Whether external traffic goes only to this node's own endpoints, and keeps the client's address. */
  readonly externalLocal: boolean;
  readonly internalLocal: boolean;
  readonly affinityMs: number | undefined;
}

const defaultAffinitySeconds = 10_800;
const maxPort = 65_535;
/**
 * The limits for the rules of one Service on a node. A small object may list thousands of ports and addresses, and each
 * pair of a port and an address is an entry in the kernel of each node.
 */
const maxPorts = 1_000;
const maxAddressPairs = 2_000;
const maxEndpointPairs = 10_000;
/** The addresses of the lab's nodes. No node announces them, even if a Service's status contains them. */
const nodeAddresses = Array.from({ length: labNetwork.maxNodes }, (_, index) => labNetwork.nodeAddress(index));
const labRanges = [cidrOf(`${labNetwork.podRange}/16`), cidrOf(labNetwork.serviceCidr)].flatMap((range) => range ?? []);

/**
 * The ports of a Service that this node must serve, with the endpoints from the slices. Returns an empty list for
 * headless and ExternalName Services. Contains only IPv4 addresses.
 */
export function planService(service: Service, slices: readonly EndpointSlice[], nodeName: string): PlannedPort[] {
  const { spec, status } = service;
  if (
    spec === undefined ||
    spec.type === "ExternalName" ||
    spec.clusterIP === undefined ||
    spec.clusterIP === "" ||
    spec.clusterIP === "None"
  )
    return [];
  const clusterAddresses = (spec.clusterIPs ?? [spec.clusterIP]).filter(isIPv4);
  const ingress = (status?.loadBalancer?.ingress ?? [])
    .filter(({ ipMode }) => ipMode !== "Proxy")
    .flatMap(({ ip }) => (ip === undefined ? [] : [ip]));
  const ports = (spec.ports ?? []).slice(0, maxPorts);
  const share = (pairs: number): number => Math.floor(pairs / Math.max(1, ports.length));
  const externalAddresses = [...new Set([...ingress, ...(spec.externalIPs ?? [])])]
    .filter(isOutside)
    .slice(0, share(maxAddressPairs));
  const affinityMs =
    spec.sessionAffinity === "ClientIP"
      ? (spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? defaultAffinitySeconds) * 1_000
      : undefined;
  const targets = slices.filter(({ addressType }) => addressType === "IPv4").map(targetOf);
  return ports.map((port) => ({
    key: `${keyOf(service)}/${port.name ?? port.port}/${protocolOf(port)}`,
    createdAt: service.metadata.creationTimestamp ?? "",
    protocol: protocolOf(port),
    clusterAddresses,
    externalAddresses,
    port: port.port,
    nodePort: port.nodePort,
    endpoints: endpointsOf(port, targets, nodeName, share(maxEndpointPairs)),
    externalLocal: spec.externalTrafficPolicy === "Local",
    internalLocal: spec.internalTrafficPolicy === "Local",
    affinityMs,
  }));
}

/** Returns why a node serves only some of the Service's ports and external addresses, or undefined if it serves all. */
export function unservedPart({ spec, status }: Service): string | undefined {
  const ports = spec?.ports?.length ?? 0;
  if (ports > maxPorts) return `it has ${ports} ports, of which ${maxPorts} are served; use several Services`;
  const addresses = (spec?.externalIPs?.length ?? 0) + (status?.loadBalancer?.ingress?.length ?? 0);
  if (ports * addresses <= maxAddressPairs) return undefined;
  return `it has ${ports} ports at ${addresses} external addresses, and ${maxAddressPairs} pairs of them are served; use several Services`;
}

/**
 * Whether a text is an IPv4 address that is neither loopback nor link-local. Anybody who writes a Service's status may
 * put any text there.
 */
function isOutside(address: string): boolean {
  return isIPv4(address) && !isInsideAddress(address);
}

function protocolOf(port: ServicePort): PlannedPort["protocol"] {
  return (port.protocol ?? "TCP").toLowerCase() as PlannedPort["protocol"];
}

interface SliceTarget {
  readonly endpoints: readonly Endpoint[];
  /** The port numbers by {@link portName}. */
  readonly ports: ReadonlyMap<string, number>;
}

function targetOf({ endpoints, ports }: EndpointSlice): SliceTarget {
  // Check the number, because the API server accepts any number in a slice.
  const valid = (ports ?? []).flatMap((candidate) => {
    const { port = 0 } = candidate;
    return port < 1 || port > maxPort ? [] : [[portName(candidate), port] as const];
  });
  // If several ports have the same name, the first one applies.
  return { endpoints: endpoints ?? [], ports: new Map(valid.toReversed()) };
}

function portName({ name = "", protocol = "TCP" }: { readonly name?: string; readonly protocol?: string }): string {
  return `${protocol} ${name}`;
}

/** Returns the ready endpoints, up to a limit. If none is ready, returns the terminating endpoints that still serve. */
function endpointsOf(
  port: ServicePort,
  targets: readonly SliceTarget[],
  nodeName: string,
  limit: number,
): ServiceEndpoint[] {
  const ready = new Map<string, ServiceEndpoint>();
  const ending = new Map<string, ServiceEndpoint>();
  for (const { endpoints, ports } of targets) {
    const target = ports.get(portName(port));
    if (target === undefined) continue;
    for (const endpoint of endpoints) {
      if (ready.size >= limit) break;
      collect(endpoint, target, nodeName, ready, ending);
    }
  }
  const chosen = ready.size > 0 ? ready : ending;
  return [...chosen.values()]
    .slice(0, limit)
    .sort((a, b) => (`${a.address}:${a.port}` < `${b.address}:${b.port}` ? -1 : 1));
}

function collect(
  endpoint: Endpoint,
  port: number,
  nodeName: string,
  ready: Map<string, ServiceEndpoint>,
  ending: Map<string, ServiceEndpoint>,
): void {
  const [address] = endpoint.addresses;
  // Kubernetes refuses endpoints with loopback or link-local addresses. A user who writes one must not reach servers on
  // such addresses of the node.
  if (address === undefined || isInsideAddress(address)) return;
  const { conditions } = endpoint;
  const entry = { address, port, local: endpoint.nodeName === nodeName };
  if (conditions?.ready !== false) ready.set(`${address}:${port}`, entry);
  else if (conditions.serving === true && conditions.terminating === true) ending.set(`${address}:${port}`, entry);
}

/**
 * Those LoadBalancer addresses of a Service that a node may announce. Without this check, anybody who writes a
 * Service's status could make a node claim the address of another node, of a pod or of the user's host.
 */
export function announcedAddresses(service: Service): readonly string[] {
  return (service.status?.loadBalancer?.ingress ?? []).flatMap(({ ip }) =>
    ip === undefined ||
    !isOutside(ip) ||
    ip === labNetwork.hostAddress ||
    nodeAddresses.includes(ip) ||
    isAddressOf(ip, labRanges)
      ? []
      : [ip],
  );
}

export interface AnnouncingNode {
  readonly name: string;
  readonly role: "control-plane" | "worker";
}

/**
 * Returns the node that announces the Service's LoadBalancer addresses in the lab's network. A hash of the Service's
 * name chooses it among the workers, or among all nodes of a cluster without workers. With `externalTrafficPolicy:
 * Local`, it is a node with a ready endpoint. Returns undefined if no node qualifies.
 */
export function announcerOf(
  service: Service,
  slices: readonly EndpointSlice[],
  nodes: readonly AnnouncingNode[],
): string | undefined {
  const workers = nodes.filter((node) => node.role === "worker");
  const able = workers.length > 0 ? workers : nodes;
  if (service.spec?.externalTrafficPolicy !== "Local") return pick(able, keyOf(service))?.name;
  const withEndpoint = new Set(
    slices.flatMap((slice) =>
      (slice.endpoints ?? []).filter(({ conditions }) => conditions?.ready !== false).map(({ nodeName }) => nodeName),
    ),
  );
  return pick(
    nodes.filter((node) => withEndpoint.has(node.name)),
    keyOf(service),
  )?.name;
}

function pick(nodes: readonly AnnouncingNode[], key: string): AnnouncingNode | undefined {
  if (nodes.length === 0) return undefined;
  return nodes[createHash("sha256").update(key).digest().readUInt32BE(0) % nodes.length];
}
