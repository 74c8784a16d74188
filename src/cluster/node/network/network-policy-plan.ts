import { isMirrorPod, matchesLabelSelector } from "../../../api/index.ts";
import {
  isFinishedPod,
  type NetworkPolicy,
  type NetworkPolicyPeer,
  type NetworkPolicyPort,
  type Pod,
} from "../../../api/kubernetes/index.ts";

/** A pod of this node that policies isolate. A direction that is undefined is not isolated. */
export interface PodIsolation {
  readonly address: string;
  /** The directions whose policies have more rules than the bound. They allow no traffic. */
  readonly overfull: readonly ("ingress" | "egress")[];
  readonly ingress: readonly AllowedTraffic[] | undefined;
  readonly egress: readonly AllowedTraffic[] | undefined;
}

export interface AllowedTraffic {
  readonly peer: TrafficPeer;
  /** The allowed ports, at least one. Undefined means all ports of all protocols. */
  readonly ports: readonly TrafficPorts[] | undefined;
}

export type TrafficPeer =
  | { readonly kind: "any" }
  | { readonly kind: "addresses"; readonly addresses: readonly string[] }
  | { readonly kind: "block"; readonly cidr: string; readonly except: readonly string[] };

export interface TrafficPorts {
  readonly protocol: "tcp" | "udp" | "sctp";
  readonly first: number;
  readonly last: number;
}

export interface LocalPod {
  readonly pod: Pod;
  readonly address: string;
}

export interface PolicyWorld {
  readonly policies: readonly NetworkPolicy[];
  /** The pods of this node with an address of their own. */
  readonly localPods: readonly LocalPod[];
  /** All pods of the cluster. */
  readonly pods: readonly Pod[];
  readonly namespaceLabels: (namespace: string) => Readonly<Record<string, string>> | undefined;
}

/**
 * The cluster's name server runs on a node. Policies treat its mirror pod as the server, with only this port of the
 * node.
 */
const dnsPort = 53;
/**
 * The maximum number of rules for one direction of a pod, with one rule for each peer and port. A transaction of the
 * kernel holds about a thousand.
 */
export const maxRulesPerDirection = 200;
const allPorts = { first: 0, last: 65_535 } as const;

/** The pods that at least one policy selects, with the traffic that all of these policies allow together. */
export function planNetworkPolicies(world: PolicyWorld): PodIsolation[] {
  const byNamespace = Map.groupBy(world.policies, ({ metadata }) => metadata.namespace ?? "");
  const endpoints = world.pods.flatMap(endpointOf);
  const isolations: PodIsolation[] = [];
  for (const local of world.localPods) {
    const { labels, namespace = "" } = local.pod.metadata;
    const policies = (byNamespace.get(namespace) ?? []).filter(({ spec }) =>
      matchesLabelSelector(spec?.podSelector ?? {}, labels),
    );
    const incoming = policies.filter((policy) => typesOf(policy).includes("Ingress"));
    const outgoing = policies.filter((policy) => typesOf(policy).includes("Egress"));
    if (incoming.length === 0 && outgoing.length === 0) continue;
    const wanted = {
      ingress:
        incoming.length === 0 ? undefined : incoming.flatMap((policy) => ingressOf(policy, local, endpoints, world)),
      egress: outgoing.length === 0 ? undefined : outgoing.flatMap((policy) => egressOf(policy, endpoints, world)),
    };
    const overfull = (["ingress", "egress"] as const).filter(
      (direction) => countRules(wanted[direction] ?? []) > maxRulesPerDirection,
    );
    const bounded = Object.fromEntries(overfull.map((direction) => [direction, []]));
    isolations.push({ address: local.address, overfull, ...wanted, ...bounded });
  }
  return isolations;
}

function countRules(allowed: readonly AllowedTraffic[]): number {
  return allowed.reduce((count, { ports }) => count + (ports?.length ?? 1), 0);
}

/**
 * The directions that a policy affects. The API server fills the field in. Without the field, a policy affects ingress,
 * and also egress if it has egress rules.
 */
function typesOf({ spec }: NetworkPolicy): readonly string[] {
  const { policyTypes = [], egress = [] } = spec ?? {};
  if (policyTypes.length > 0) return policyTypes;
  return egress.length > 0 ? ["Ingress", "Egress"] : ["Ingress"];
}

interface PolicyEndpoint {
  readonly pod: Pod;
  readonly address: string;
  readonly isNameServer: boolean;
}

/**
 * The pod as an endpoint. Empty for an ended pod, which has no address, and for a pod in its node's network, which has
 * the node's address. Only the name server counts in spite of that.
 */
function endpointOf(pod: Pod): PolicyEndpoint[] {
  const podIP = pod.status?.podIP;
  if (podIP === undefined || isFinishedPod(pod)) return [];
  if (pod.spec?.hostNetwork !== true) return [{ pod, address: podIP, isNameServer: false }];
  const isNameServer = isMirrorPod(pod) && pod.metadata.labels?.["k8s-app"] === "kube-dns";
  return isNameServer ? [{ pod, address: podIP, isNameServer }] : [];
}

function ingressOf(
  { metadata, spec }: NetworkPolicy,
  local: LocalPod,
  endpoints: readonly PolicyEndpoint[],
  world: PolicyWorld,
): AllowedTraffic[] {
  const sources = endpoints.filter(({ isNameServer }) => !isNameServer);
  return (spec?.ingress ?? []).flatMap(({ from = [], ports = [] }) => {
    const resolved = ports.flatMap((port) => portsOn(port, local.pod));
    if (ports.length > 0 && resolved.length === 0) return [];
    const matched = matchPeers(from, metadata.namespace ?? "", sources, world);
    return peersOf(matched).map((peer) => ({ peer, ports: ports.length === 0 ? undefined : resolved }));
  });
}

function egressOf(
  { metadata, spec }: NetworkPolicy,
  endpoints: readonly PolicyEndpoint[],
  world: PolicyWorld,
): AllowedTraffic[] {
  return (spec?.egress ?? []).flatMap(({ to = [], ports = [] }) => {
    const matched = matchPeers(to, metadata.namespace ?? "", endpoints, world);
    const pods = matched.endpoints.filter(({ isNameServer }) => !isNameServer);
    const servers = matched.endpoints.filter(({ isNameServer }) => isNameServer);
    const numbered = ports.flatMap(numberedPorts);
    const allowed: AllowedTraffic[] = [];
    if (ports.length === 0 || numbered.length > 0)
      for (const peer of peersOf({ ...matched, endpoints: pods }))
        allowed.push({ peer, ports: ports.length === 0 ? undefined : numbered });
    // The destination defines the port's name, which may mean another number on each pod.
    for (const port of ports)
      if (typeof port.port === "string")
        allowed.push(...namedTraffic(port, matched.isAny ? endpoints.filter(isPod) : pods));
    if (!matched.isAny && servers.length > 0) allowed.push(...nameServerTraffic(servers, ports, numbered));
    return allowed;
  });
}

const isPod = ({ isNameServer }: PolicyEndpoint): boolean => !isNameServer;

interface MatchedPeers {
  readonly isAny: boolean;
  readonly endpoints: readonly PolicyEndpoint[];
  readonly blocks: readonly { readonly cidr: string; readonly except?: readonly string[] }[];
}

function matchPeers(
  peers: readonly NetworkPolicyPeer[],
  namespace: string,
  endpoints: readonly PolicyEndpoint[],
  { namespaceLabels }: PolicyWorld,
): MatchedPeers {
  const selecting = peers.filter(({ ipBlock }) => ipBlock === undefined);
  return {
    isAny: peers.length === 0,
    endpoints: endpoints.filter(({ pod }) => selecting.some((peer) => selects(peer, namespace, pod, namespaceLabels))),
    // Blocks of IPv6 match nothing, because the lab's pods have only IPv4 addresses.
    blocks: peers.flatMap(({ ipBlock }) => (ipBlock === undefined || ipBlock.cidr.includes(":") ? [] : [ipBlock])),
  };
}

function selects(
  { podSelector, namespaceSelector }: NetworkPolicyPeer,
  namespace: string,
  pod: Pod,
  namespaceLabels: PolicyWorld["namespaceLabels"],
): boolean {
  const { namespace: own = "", labels } = pod.metadata;
  const inNamespace =
    namespaceSelector === undefined ? own === namespace : matchesLabelSelector(namespaceSelector, namespaceLabels(own));
  return inNamespace && matchesLabelSelector(podSelector ?? {}, labels);
}

function peersOf({ isAny, endpoints, blocks }: MatchedPeers): TrafficPeer[] {
  if (isAny) return [{ kind: "any" }];
  return [
    ...(endpoints.length === 0 ? [] : [{ kind: "addresses" as const, addresses: addressesOf(endpoints) }]),
    ...blocks.map(({ cidr, except = [] }) => ({ kind: "block" as const, cidr, except })),
  ];
}

function addressesOf(endpoints: readonly PolicyEndpoint[]): string[] {
  return [...new Set(endpoints.map(({ address }) => address))].sort();
}

function protocolOf({ protocol = "TCP" }: NetworkPolicyPort): TrafficPorts["protocol"] {
  return protocol.toLowerCase() as TrafficPorts["protocol"];
}

/** The ports of an entry with numbers. Empty for an entry with a port name. */
function numberedPorts(port: NetworkPolicyPort): TrafficPorts[] {
  const protocol = protocolOf(port);
  if (port.port === undefined) return [{ protocol, ...allPorts }];
  return typeof port.port === "string" ? [] : [{ protocol, first: port.port, last: port.endPort ?? port.port }];
}

function portsOn(port: NetworkPolicyPort, pod: Pod): TrafficPorts[] {
  if (typeof port.port !== "string") return numberedPorts(port);
  const protocol = protocolOf(port);
  const { containers = [], initContainers = [] } = pod.spec ?? {};
  return [...containers, ...initContainers]
    .flatMap(({ ports = [] }) => ports)
    .filter((candidate) => candidate.name === port.port && (candidate.protocol ?? "TCP").toLowerCase() === protocol)
    .map(({ containerPort }) => ({ protocol, first: containerPort, last: containerPort }));
}

/** The destinations that a named port allows, by the number of the port there. */
function namedTraffic(port: NetworkPolicyPort, destinations: readonly PolicyEndpoint[]): AllowedTraffic[] {
  const byNumber = new Map<number, PolicyEndpoint[]>();
  for (const endpoint of destinations)
    for (const { first } of portsOn(port, endpoint.pod))
      byNumber.set(first, [...(byNumber.get(first) ?? []), endpoint]);
  return [...byNumber]
    .sort(([a], [b]) => a - b)
    .map(([number, endpoints]) => ({
      peer: { kind: "addresses", addresses: addressesOf(endpoints) },
      ports: [{ protocol: protocolOf(port), first: number, last: number }],
    }));
}

/** Allows traffic to the name server's port only, because the server's address also belongs to the node. */
function nameServerTraffic(
  servers: readonly PolicyEndpoint[],
  ports: readonly NetworkPolicyPort[],
  numbered: readonly TrafficPorts[],
): AllowedTraffic[] {
  const allowed = (["udp", "tcp"] as const)
    .filter(
      (protocol) =>
        ports.length === 0 ||
        numbered.some((range) => range.protocol === protocol && range.first <= dnsPort && dnsPort <= range.last),
    )
    .map((protocol) => ({ protocol, first: dnsPort, last: dnsPort }));
  return allowed.length === 0 ? [] : [{ peer: { kind: "addresses", addresses: addressesOf(servers) }, ports: allowed }];
}
