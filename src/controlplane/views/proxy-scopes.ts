import type { Clock } from "../../base/index.ts";
import { istioLabels } from "../../api/istio/index.ts";
import type { SourceCollection } from "../../kube/index.ts";
import {
  hboneOf,
  localityFromLabel,
  meshKey,
  remoteKey,
  type MeshInputs,
  type OutboundScope,
  type OutboundScopes,
  type PodFacts,
  type ProxyGroup,
  type ScopeChoice,
} from "../model/index.ts";
import type { ProxyIdentity, ResourceView, ViewSource } from "../serve/index.ts";
import { FollowedProxies, tellFollowers, type FollowedProxy } from "./followed-proxies.ts";
import { ConnectedMachines, type MachineMember, type MachineSources } from "./connected-machines.ts";
import { HeldKeys } from "./held-keys.ts";

export interface ProxyScopesOptions {
  readonly inputs: MeshInputs;
  readonly scopes: OutboundScopes;
  /**
   * The pods whose sidecars are connected, by the keys of the inbound resources. {@link ProxyScopes} fills this
   * collection.
   */
  readonly connectedPods: SourceCollection<true>;
  /** The connected sidecars on machines outside of the cluster. {@link ProxyScopes} fills these collections. */
  readonly machines: MachineSources;
  /** Computes the inputs of a new group at once, so that its first response is complete. */
  readonly settle: () => void;
  readonly clock: Clock;
}

export interface ProxyPlace {
  readonly group: ProxyGroup;
  readonly key: string;
  readonly choice: ScopeChoice;
}

interface Member extends FollowedProxy, MachineMember {
  /** The key of the proxy's group. Undefined until the group is known. */
  key: string | undefined;
  /** The key of the inbound resources of the proxy's pod. Undefined for gateways. */
  pod: string | undefined;
}

/** How long a group or pod is kept after its last proxy has disconnected, because proxies reconnect. */
const lingerMs = 60_000;
/**
 * The maximum number of groups without a proxy, and of pods without one. This is above the number of proxies that one
 * control plane serves. Clients choose the names, and even the shortest one takes about 1 KiB. A proxy whose group was
 * forgotten gets its group again when it connects.
 */
const maxLingering = 20_000;
/**
 * The maximum total length of the keys of groups without a proxy. A key contains all labels, and a group takes about
 * ten times the key's memory. Without this limit, a client that repeatedly connects with other labels would fill the
 * memory.
 */
const maxLingeringCharacters = 16 << 20;
/**
 * Labels that differ for each pod or each roll-out, and by which no configuration selects. They must not distinguish
 * groups, because there would be as many groups as pods.
 */
const ownLabels: ReadonlySet<string> = new Set([
  "pod-template-hash",
  "controller-revision-hash",
  "pod-template-generation",
  "statefulset.kubernetes.io/pod-name",
  "apps.kubernetes.io/pod-index",
  "batch.kubernetes.io/controller-uid",
  "controller-uid",
]);

/**
 * The group and the scope of each connected proxy. A group exists as long as one of its proxies is connected, and for
 * {@link lingerMs} afterwards.
 */
export class ProxyScopes {
  readonly #options: ProxyScopesOptions;
  /** The proxies by their pod's `namespace/name`, in any cluster. */
  readonly #followed = new FollowedProxies<Member>({
    podKeysOf: ({ namespace, name }) => [`${namespace}/${name}`],
    make: (bare) => ({ ...bare, key: undefined, pod: undefined, machine: undefined }),
    begun: (member) => {
      this.#join(member);
      if (member.key !== undefined) this.#options.settle();
    },
    ended: (member) => {
      if (member.key !== undefined) this.#groups.release(member.key, member);
      if (member.pod !== undefined) this.#pods.release(member.pod, member);
      this.#machines.leave(member);
    },
  });
  readonly #groups: HeldKeys<Member>;
  readonly #pods: HeldKeys<Member>;
  readonly #machines: ConnectedMachines<Member>;

  constructor(options: ProxyScopesOptions) {
    this.#options = options;
    const { clock, connectedPods, machines, scopes } = options;
    const bounds = { clock, lingerMs, maxLingering, maxLingeringCharacters };
    this.#groups = new HeldKeys({ ...bounds, forgotten: (key) => scopes.groups.delete(key) });
    this.#pods = new HeldKeys({ ...bounds, forgotten: (key) => connectedPods.delete(key) });
    const { pods, nodes, remote, workloadEntries, excludedNamespaces } = options.inputs;
    this.#machines = new ConnectedMachines({
      machines,
      workloadEntries,
      excludedNamespaces,
      bounds,
      remoteOf: (proxy) => this.#remoteOf(proxy),
      hasPod: (proxy) => this.hasPod(proxy),
    });
    this.#machines.follow((member) => this.#reconsider(member));
    pods.subscribe((changes) => {
      for (const change of changes) this.#reconsiderPod(change.key);
    });
    remote.pods.subscribe((changes) => {
      for (const change of changes) this.#reconsiderPod(change.key.slice(change.key.indexOf("/") + 1));
    });
    // A proxy's locality is that of its node, so follow nodes, too.
    for (const collection of [nodes, remote.nodes]) {
      collection.subscribe((changes) => {
        const changed = new Set(changes.map((change) => change.key));
        for (const member of this.#followed.all())
          if (changed.has(this.#keyIn(member.proxy, this.#nodeOf(member.proxy)))) this.#reconsider(member);
      });
    }
    // When a cluster becomes known, proxies that name it no longer match pods of the control plane's own cluster.
    remote.clusters.subscribe((changes) => {
      const changed = new Set(changes.map((change) => change.key));
      for (const member of this.#followed.all()) if (changed.has(member.proxy.clusterId)) this.#reconsider(member);
    });
    options.scopes.choices.subscribe((changes) => {
      for (const { key } of changes) for (const member of this.#groups.holdersOf(key)) tellFollowers(member);
    });
  }

  /** The view of a proxy by its place. Proxies of one place must get the same object (see {@link memoizedViews}). */
  viewSource(proxy: ProxyIdentity, viewOf: (place: ProxyPlace) => ResourceView): ViewSource {
    return {
      current: () => {
        const place = this.#placeOf(proxy);
        return place === undefined ? undefined : viewOf(place);
      },
      follow: (changed) => this.#followed.follow(proxy, changed),
      known: () => this.#isKnown(proxy),
    };
  }

  /**
   * What a connected proxy sees of the mesh. Undefined if the proxy's kind has no scope, or if its scope is not known
   * yet.
   */
  outboundScopeOf(proxy: ProxyIdentity): OutboundScope | undefined {
    const choice = this.#placeOf(proxy)?.choice;
    return choice === undefined ? undefined : this.#options.scopes.scopes.get(choice.scope);
  }

  /**
   * Whether all objects that determine a proxy's group have been read. A machine outside of the cluster has no pod. The
   * pod of a gateway or a proxyless gRPC client adds nothing to the labels that the client sends.
   */
  #isKnown(proxy: ProxyIdentity): boolean {
    if ((this.#podOf(proxy)?.addresses.length ?? 0) > 0) return true;
    if ((proxy.type === "router" || proxy.metadata["GENERATOR"] === "grpc") && Object.keys(proxy.labels).length > 0)
      return true;
    return this.#machines.isKnown(proxy);
  }

  /** A machine outside of the cluster never has a pod. */
  hasPod(proxy: ProxyIdentity): boolean {
    return this.#podOf(proxy) !== undefined;
  }

  #placeOf(proxy: ProxyIdentity): ProxyPlace | undefined {
    const { groups, choices } = this.#options.scopes;
    const key = this.#followed.get(proxy)?.key;
    const group = key === undefined ? undefined : groups.get(key);
    const choice = key === undefined ? undefined : choices.get(key);
    return key === undefined || group === undefined || choice === undefined ? undefined : { key, group, choice };
  }

  /** Adds the group and the pod of a proxy that connects, so that its views can be computed before they are read. */
  expect(proxy: ProxyIdentity): void {
    if (proxy.type !== "sidecar" && proxy.type !== "router") return;
    const pod = this.#inboundPodOf(proxy);
    if (pod !== undefined && this.#pods.expect(pod)) this.#options.connectedPods.set(pod, true);
    const group = this.#groupOf(proxy);
    if (group === undefined) return;
    const key = groupKey(group);
    if (this.#groups.expect(key)) this.#options.scopes.groups.set(key, group);
  }

  #reconsiderPod(pod: string): void {
    for (const member of this.#followed.ofPod(pod)) this.#reconsider(member);
  }

  /** The remote cluster of a proxy. Undefined for the control plane's own cluster. */
  #remoteOf({ clusterId }: ProxyIdentity): string | undefined {
    return this.#options.inputs.remote.clusters.get(clusterId) === undefined ? undefined : clusterId;
  }

  /** The key of an object in the proxy's cluster. For a remote cluster, it contains the cluster's id. */
  #keyIn(proxy: ProxyIdentity, key: string): string {
    const clusterId = this.#remoteOf(proxy);
    return clusterId === undefined ? key : remoteKey(clusterId, key);
  }

  #podOf(proxy: ProxyIdentity): PodFacts | undefined {
    const { pods, remote } = this.#options.inputs;
    const key = this.#keyIn(proxy, `${proxy.namespace}/${proxy.name}`);
    return this.#remoteOf(proxy) === undefined ? pods.get(key) : remote.pods.get(key);
  }

  #reconsider(member: Member): void {
    const { key, pod, machine } = member;
    this.#join(member);
    if (member.pod !== pod && pod !== undefined) this.#pods.release(pod, member);
    if (member.key !== key && key !== undefined) this.#groups.release(key, member);
    // If the proxy's pod is no longer read, the proxy gets the inbound resources of a machine, so its followers must
    // know that, too.
    if (member.key !== key || member.machine !== machine) tellFollowers(member);
  }

  #nodeOf(proxy: ProxyIdentity): string {
    return this.#podOf(proxy)?.node ?? proxy.node;
  }

  #join(member: Member): void {
    const pod = this.#inboundPodOf(member.proxy);
    if (pod !== member.pod && pod !== undefined) {
      member.pod = pod;
      if (this.#pods.hold(pod, member)) this.#options.connectedPods.set(pod, true);
    }
    this.#machines.join(member);
    const group = this.#groupOf(member.proxy);
    const key = group === undefined ? undefined : groupKey(group);
    if (key === member.key || key === undefined || group === undefined) return;
    member.key = key;
    if (this.#groups.hold(key, member)) this.#options.scopes.groups.set(key, group);
  }

  /** The key of the pod whose inbound resources the proxy gets. */
  #inboundPodOf(proxy: ProxyIdentity): string | undefined {
    return proxy.type === "sidecar" ? this.#keyIn(proxy, `${proxy.namespace}/${proxy.name}`) : undefined;
  }

  /**
   * The group of a proxy, by its metadata and its pod. Undefined if it sends no metadata and its pod has not been seen.
   */
  #groupOf(proxy: ProxyIdentity): ProxyGroup | undefined {
    const { inputs } = this.#options;
    const clusterId = this.#remoteOf(proxy);
    const pod = this.#podOf(proxy);
    const workload = pod ?? this.#machines.workloadOf(proxy);
    if (workload === undefined && Object.keys(proxy.labels).length === 0) return undefined;
    const labels = Object.fromEntries(
      Object.entries({ ...workload?.labels, ...proxy.labels }).filter(([name]) => !ownLabels.has(name)),
    );
    const node = this.#nodeOf(proxy);
    const {
      region = "",
      zone = "",
      subzone = "",
    } = localityFromLabel(labels) ??
    (clusterId === undefined ? inputs.nodes : inputs.remote.nodes).get(this.#keyIn(proxy, node)) ??
    {};
    const network = proxy.network === "" ? (pod?.labels[istioLabels.network] ?? "") : proxy.network;
    const cluster = clusterId === undefined ? {} : { clusterId };
    const view = proxy.networkView.length === 0 ? {} : { networkView: proxy.networkView.toSorted() };
    return {
      kind: proxy.type === "router" ? "router" : "sidecar",
      namespace: proxy.namespace,
      labels,
      locality: { region, zone, subzone },
      node,
      network,
      ...cluster,
      ...view,
      hbone: proxy.sendsHbone && hboneOf(inputs.mesh.get(meshKey)).sent,
      dnsCapture: proxy.dnsCapture,
      ...(pod?.proxyConfig === undefined ? {} : { proxyConfig: pod.proxyConfig }),
    };
  }
}

function groupKey({
  kind,
  namespace,
  labels,
  locality,
  node,
  network,
  clusterId = "",
  networkView = [],
  hbone,
  dnsCapture,
  proxyConfig,
}: ProxyGroup): string {
  const sorted = Object.entries(labels).sort(([left], [right]) => (left < right ? -1 : 1));
  return JSON.stringify([
    kind,
    namespace,
    hbone,
    dnsCapture,
    locality.region,
    locality.zone,
    locality.subzone,
    node,
    sorted,
    network,
    clusterId,
    networkView,
    ...(proxyConfig === undefined ? [] : [proxyConfig]),
  ]);
}

/** Remembers the last view as long as its inputs are the same. */
export function memoizedViews(
  keyOf: (place: ProxyPlace) => string,
  build: (place: ProxyPlace) => ResourceView,
): (place: ProxyPlace) => ResourceView {
  let last: { readonly key: string; readonly view: ResourceView } | undefined;
  return (place) => {
    const key = keyOf(place);
    if (last?.key !== key) last = { key, view: build(place) };
    return last.view;
  };
}
