import { isMirrorPod, matchesLabelSelector, type LabelSelector, type Labels } from "../../../api/index.ts";
import {
  isFinishedPod,
  type NetworkPolicyPeer,
  type NetworkPolicyPort,
  type Pod,
} from "../../../api/kubernetes/index.ts";
import { portsOn, protocolOf, type AllowedTraffic, type TrafficPeer } from "./network-policy-traffic.ts";

export interface MatchedPeers {
  /** Whether the rule names no peers and therefore allows every address. */
  readonly isAny: boolean;
  /** The selected pods and address blocks, without the name server. */
  readonly peers: readonly TrafficPeer[];
  /** The selected pods, without the name server. */
  readonly pods: readonly PolicyEndpoint[];
  /** The addresses of the cluster's name server, if it is selected. */
  readonly nameServers: readonly string[];
}

interface PolicyEndpoint {
  readonly pod: Pod;
  readonly address: string;
  readonly isNameServer: boolean;
}

/**
 * The maximum size of the selectors in the rules of one namespace, as the number of keys, values and peers. The node
 * compares each selector with each pod of the cluster, and any user may write policies.
 */
export const maxSelectorParts = 20_000;

/** Finds the peers of rules. It matches each rule only once, for all pods to which the rule applies. */
export class PolicyPeers {
  readonly everyPod: Pick<MatchedPeers, "pods">;
  readonly #endpoints: readonly PolicyEndpoint[];
  readonly #namespaceLabels: (namespace: string) => Labels | undefined;
  readonly #matched = new Map<readonly NetworkPolicyPeer[], MatchedPeers | undefined>();
  readonly #named = new Map<NetworkPolicyPort, readonly AllowedTraffic[]>();
  /** The size of the selectors that were matched so far, by namespace. */
  readonly #parts = new Map<string, number>();

  constructor(pods: readonly Pod[], namespaceLabels: (namespace: string) => Labels | undefined) {
    this.#endpoints = pods.flatMap(endpointOf);
    this.#namespaceLabels = namespaceLabels;
    this.everyPod = { pods: this.#endpoints.filter(({ isNameServer }) => !isNameServer) };
  }

  /**
   * Returns the peers of a rule in the namespace, or undefined if all selectors of the namespace's rules together are
   * larger than {@link maxSelectorParts}.
   */
  matched(peers: readonly NetworkPolicyPeer[], namespace: string): MatchedPeers | undefined {
    if (peers.length === 0) return any;
    if (this.#matched.has(peers)) return this.#matched.get(peers);
    const parts = (this.#parts.get(namespace) ?? 0) + peers.reduce((sum, peer) => sum + partsOf(peer), 0);
    this.#parts.set(namespace, parts);
    const found = parts > maxSelectorParts ? undefined : this.#match(peers, namespace);
    this.#matched.set(peers, found);
    return found;
  }

  /** The traffic that a named port allows: the destinations, grouped by the number that the port has there. */
  namedTraffic(port: NetworkPolicyPort, { pods }: Pick<MatchedPeers, "pods">): readonly AllowedTraffic[] {
    const known = this.#named.get(port);
    if (known !== undefined) return known;
    const byNumber = new Map<number, PolicyEndpoint[]>();
    for (const endpoint of pods)
      for (const { first } of portsOn(port, endpoint.pod)) {
        const found = byNumber.get(first);
        if (found === undefined) byNumber.set(first, [endpoint]);
        else found.push(endpoint);
      }
    const traffic = [...byNumber]
      .sort(([a], [b]) => a - b)
      .map(([number, endpoints]): AllowedTraffic => ({
        peer: { kind: "addresses", addresses: addressesOf(endpoints) },
        ports: [{ protocol: protocolOf(port), first: number, last: number }],
      }));
    this.#named.set(port, traffic);
    return traffic;
  }

  #match(peers: readonly NetworkPolicyPeer[], namespace: string): MatchedPeers {
    const selecting = peers.filter(({ ipBlock }) => ipBlock === undefined);
    const endpoints = this.#endpoints.filter(({ pod }) =>
      selecting.some((peer) => selects(peer, namespace, pod, this.#namespaceLabels)),
    );
    const pods = endpoints.filter(({ isNameServer }) => !isNameServer);
    // Ignore IPv6 blocks, because the lab's pods have only IPv4 addresses.
    const blocks = peers.flatMap(({ ipBlock }) =>
      ipBlock === undefined || ipBlock.cidr.includes(":")
        ? []
        : { kind: "block" as const, cidr: ipBlock.cidr, except: ipBlock.except ?? [] },
    );
    return {
      isAny: false,
      peers: pods.length === 0 ? blocks : [{ kind: "addresses" as const, addresses: addressesOf(pods) }, ...blocks],
      pods,
      nameServers: addressesOf(endpoints.filter(({ isNameServer }) => isNameServer)),
    };
  }
}

const any: MatchedPeers = { isAny: true, peers: [{ kind: "any" }], pods: [], nameServers: [] };

/**
 * The pod as an endpoint of policies. Returns an empty list for a pod that has ended, and for a pod in its node's
 * network, because it has no address of its own. The exception is the cluster's name server: it runs on a node, and
 * policies treat its mirror pod as the server.
 */
function endpointOf(pod: Pod): PolicyEndpoint[] {
  const podIP = pod.status?.podIP;
  if (podIP === undefined || isFinishedPod(pod)) return [];
  if (pod.spec?.hostNetwork !== true) return [{ pod, address: podIP, isNameServer: false }];
  const isNameServer = isMirrorPod(pod) && pod.metadata.labels?.["k8s-app"] === "kube-dns";
  return isNameServer ? [{ pod, address: podIP, isNameServer }] : [];
}

function partsOf({ podSelector, namespaceSelector }: NetworkPolicyPeer): number {
  return 1 + partsOfSelector(podSelector) + partsOfSelector(namespaceSelector);
}

/** The size of a selector: its number of keys and values. */
export function partsOfSelector({ matchLabels = {}, matchExpressions = [] }: LabelSelector = {}): number {
  return matchExpressions.reduce((sum, { values = [] }) => sum + 1 + values.length, Object.keys(matchLabels).length);
}

function selects(
  { podSelector, namespaceSelector }: NetworkPolicyPeer,
  namespace: string,
  pod: Pod,
  namespaceLabels: (namespace: string) => Labels | undefined,
): boolean {
  const { namespace: own = "", labels } = pod.metadata;
  const inNamespace =
    namespaceSelector === undefined ? own === namespace : matchesLabelSelector(namespaceSelector, namespaceLabels(own));
  return inNamespace && matchesLabelSelector(podSelector ?? {}, labels);
}

function addressesOf(endpoints: readonly PolicyEndpoint[]): string[] {
  return [...new Set(endpoints.map(({ address }) => address))].sort();
}
