import { matchesLabelSelector } from "../../../api/index.ts";
import type { NetworkPolicy, NetworkPolicyPort, Pod } from "../../../api/kubernetes/index.ts";
import { maxSelectorParts, partsOfSelector, PolicyPeers, type MatchedPeers } from "./network-policy-peers.ts";
import { numberedPorts, portsOn, type AllowedTraffic, type TrafficPorts } from "./network-policy-traffic.ts";

/** A pod of this node that policies isolate. If a direction is undefined, the pod is not isolated in it. */
export interface PodIsolation {
  readonly address: string;
  /** The directions in which the pod's policies have too many rules. No traffic is allowed in them. */
  readonly overfull: readonly ("ingress" | "egress")[];
  readonly ingress: readonly AllowedTraffic[] | undefined;
  readonly egress: readonly AllowedTraffic[] | undefined;
}

export interface LocalPod {
  readonly pod: Pod;
  readonly address: string;
}

export interface PolicyWorld {
  readonly policies: readonly NetworkPolicy[];
  /** The pods of this node that have their own address. */
  readonly localPods: readonly LocalPod[];
  /** All pods of the cluster. */
  readonly pods: readonly Pod[];
  readonly namespaceLabels: (namespace: string) => Readonly<Record<string, string>> | undefined;
}

/** The port of the name server. Only this port of the node is treated as the name server by policies. */
const dnsPort = 53;
/**
 * The maximum number of rules for one direction of a pod, with one rule for each peer and port. A netlink transaction
 * holds about a thousand rules.
 */
export const maxRulesPerDirection = 200;
/** The maximum number of exceptions (`ipBlock.except`) for one direction of a pod. */
export const maxExceptionsPerDirection = 1_000;
/**
 * The maximum number of rules and ports that are read for one direction of a pod, including those that allow nothing.
 * Any user may write policies, and the policies of one namespace must not keep the node busy.
 */
const maxReadPerDirection = 2_000;

/** The pods that at least one policy selects, each with the traffic that its policies together allow. */
export function planNetworkPolicies(world: PolicyWorld): PodIsolation[] {
  const byNamespace = Map.groupBy(world.policies, ({ metadata }) => metadata.namespace ?? "");
  const divided = new Map([...byNamespace].map(([namespace, policies]) => [namespace, bySelectorSize(policies)]));
  const peers = new PolicyPeers(world.pods, world.namespaceLabels);
  const isolations: PodIsolation[] = [];
  for (const local of world.localPods) {
    const { labels, namespace = "" } = local.pod.metadata;
    const { read, unread } = divided.get(namespace) ?? noPolicies;
    const policies = [...read.filter(({ spec }) => matchesLabelSelector(spec?.podSelector ?? {}, labels)), ...unread];
    const incoming = policies.filter((policy) => typesOf(policy).includes("Ingress"));
    const outgoing = policies.filter((policy) => typesOf(policy).includes("Egress"));
    if (incoming.length === 0 && outgoing.length === 0) continue;
    const lists = {
      ingress: incoming.length === 0 ? undefined : collected(incoming, unread, ingressOf(local.pod, peers)),
      egress: outgoing.length === 0 ? undefined : collected(outgoing, unread, egressOf(peers)),
    };
    isolations.push({
      address: local.address,
      overfull: (["ingress", "egress"] as const).filter((direction) => lists[direction]?.isOverfull === true),
      ingress: lists.ingress?.allowed,
      egress: lists.egress?.allowed,
    });
  }
  return isolations;
}

/** The traffic that the policies of one direction together allow. Beyond a limit, they allow nothing. */
class AllowedList {
  isOverfull = false;
  #allowed: AllowedTraffic[] = [];
  #rules = 0;
  #exceptions = 0;
  #read = 0;

  get allowed(): readonly AllowedTraffic[] {
    return this.#allowed;
  }

  /** Counts `count` more rules or ports. Returns false if the limit is exceeded. The caller must then stop reading. */
  read(count: number): boolean {
    this.#read += count;
    return this.#read <= maxReadPerDirection || this.close();
  }

  add(traffic: AllowedTraffic): void {
    this.#rules += traffic.ports?.length ?? 1;
    if (traffic.peer.kind === "block") this.#exceptions += traffic.peer.except.length;
    if (this.#rules > maxRulesPerDirection || this.#exceptions > maxExceptionsPerDirection) this.close();
    if (!this.isOverfull) this.#allowed.push(traffic);
  }

  close(): false {
    this.isOverfull = true;
    this.#allowed = [];
    return false;
  }
}

interface DividedPolicies {
  /** The policies whose pod selectors are compared with the node's pods. */
  readonly read: readonly NetworkPolicy[];
  /**
   * The policies beyond the limit. Their selectors are not compared, so each of them may select any pod of the
   * namespace. To be safe, they are treated as selecting all pods and allowing nothing.
   */
  readonly unread: ReadonlySet<NetworkPolicy>;
}

const noPolicies: DividedPolicies = { read: [], unread: new Set() };

/**
 * Divides a namespace's policies by a limit for the total size of their pod selectors. The limit is needed because each
 * pod selector is compared with each of the namespace's pods on the node, at every change of a pod.
 */
function bySelectorSize(policies: readonly NetworkPolicy[]): DividedPolicies {
  let parts = 0;
  const isRead = ({ spec }: NetworkPolicy): boolean => {
    parts += 1 + partsOfSelector(spec?.podSelector);
    return parts <= maxSelectorParts;
  };
  const read = policies.filter(isRead);
  return { read, unread: new Set(policies).difference(new Set(read)) };
}

function collected(
  policies: readonly NetworkPolicy[],
  unread: DividedPolicies["unread"],
  addTo: (list: AllowedList, policy: NetworkPolicy) => void,
): AllowedList {
  const list = new AllowedList();
  // Policies that are not read come last, so look only at the last one.
  const last = policies.at(-1);
  if (last !== undefined && unread.has(last)) list.close();
  for (const policy of policies) {
    if (list.isOverfull) break;
    addTo(list, policy);
  }
  return list;
}

/**
 * The directions that a policy affects. The API server normally fills in `policyTypes`. Without this field, a policy
 * affects ingress, and also egress if it has egress rules.
 */
function typesOf({ spec }: NetworkPolicy): readonly string[] {
  const { policyTypes = [], egress = [] } = spec ?? {};
  if (policyTypes.length > 0) return policyTypes;
  return egress.length > 0 ? ["Ingress", "Egress"] : ["Ingress"];
}

function ingressOf(pod: Pod, peers: PolicyPeers): (list: AllowedList, policy: NetworkPolicy) => void {
  return (list, { metadata, spec }) => {
    for (const { from = [], ports = [] } of spec?.ingress ?? []) {
      if (!list.read(1 + ports.length)) return;
      const resolved = ports.flatMap((port) => portsOn(port, pod));
      if (ports.length > 0 && resolved.length === 0) continue;
      const matched = peers.matched(from, metadata.namespace ?? "");
      if (matched === undefined) return void list.close();
      for (const peer of matched.peers) {
        list.add({ peer, ports: ports.length === 0 ? undefined : resolved });
        if (list.isOverfull) return;
      }
    }
  };
}

function egressOf(peers: PolicyPeers): (list: AllowedList, policy: NetworkPolicy) => void {
  return (list, { metadata, spec }) => {
    for (const { to = [], ports = [] } of spec?.egress ?? []) {
      if (!list.read(1 + ports.length)) return;
      const matched = peers.matched(to, metadata.namespace ?? "");
      if (matched === undefined) return void list.close();
      for (const traffic of leaving(matched, ports, peers)) {
        list.add(traffic);
        if (list.isOverfull) return;
      }
    }
  };
}

function* leaving(
  matched: MatchedPeers,
  ports: readonly NetworkPolicyPort[],
  peers: PolicyPeers,
): Generator<AllowedTraffic> {
  const numbered = ports.flatMap(numberedPorts);
  if (ports.length === 0 || numbered.length > 0)
    for (const peer of matched.peers) yield { peer, ports: ports.length === 0 ? undefined : numbered };
  // For egress, the name of a port is resolved at the destination, so it may mean another number on each pod.
  for (const port of ports)
    if (typeof port.port === "string") yield* peers.namedTraffic(port, matched.isAny ? peers.everyPod : matched);
  if (!matched.isAny && matched.nameServers.length > 0) yield* nameServerTraffic(matched.nameServers, ports, numbered);
}

/** The traffic to the name server. It is limited to the server's port, because the address also belongs to the node. */
function nameServerTraffic(
  addresses: readonly string[],
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
  return allowed.length === 0 ? [] : [{ peer: { kind: "addresses", addresses }, ports: allowed }];
}
