import { ownField } from "../../base/index.ts";
import type { Node, Pod } from "../../api/kubernetes/index.ts";
import { quantity, requestsOf, type Resources } from "./resources.ts";

export interface NodeState {
  readonly node: Node;
  readonly pods: ReadonlyMap<string, PlacedPod>;
  readonly requested: Resources;
}

export interface PlacedPod {
  readonly pod: Pod;
  readonly node: string;
  readonly requests: Resources;
  readonly hostPorts: readonly HostPort[];
}

export interface HostPort {
  readonly protocol: string;
  readonly address: string;
  readonly port: number;
}

const everyAddress = "0.0.0.0";

interface MutableState {
  node: Node | undefined;
  readonly pods: Map<string, PlacedPod>;
  readonly requested: Map<string, number>;
}

/** The placement of pods on nodes. Watch events and the scheduler's own decisions update it. */
export class Placements {
  readonly #nodes = new Map<string, MutableState>();
  readonly #byUid = new Map<string, PlacedPod>();
  /** The pods with an anti-affinity, which may exclude new pods from a node. */
  readonly #repelling = new Set<string>();

  setNode(node: Node): void {
    this.#state(node.metadata.name ?? "").node = node;
  }

  removeNode(name: string): void {
    const state = this.#nodes.get(name);
    if (state === undefined) return;
    state.node = undefined;
    if (state.pods.size === 0) this.#nodes.delete(name);
  }

  place(pod: Pod, node: string): void {
    const uid = pod.metadata.uid ?? "";
    this.remove(uid);
    const placed = placedOn(pod, node);
    const state = this.#state(node);
    state.pods.set(uid, placed);
    for (const [name, value] of placed.requests) state.requested.set(name, (state.requested.get(name) ?? 0) + value);
    this.#byUid.set(uid, placed);
    if (pod.spec?.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution !== undefined)
      this.#repelling.add(uid);
  }

  remove(uid: string): void {
    const placed = this.#byUid.get(uid);
    if (placed === undefined) return;
    const state = this.#state(placed.node);
    state.pods.delete(uid);
    for (const [name, value] of placed.requests) state.requested.set(name, (state.requested.get(name) ?? 0) - value);
    this.#byUid.delete(uid);
    this.#repelling.delete(uid);
    if (state.node === undefined && state.pods.size === 0) this.#nodes.delete(placed.node);
  }

  has(uid: string): boolean {
    return this.#byUid.has(uid);
  }

  nodes(): NodeState[] {
    const states: NodeState[] = [];
    for (const { node, pods, requested } of this.#nodes.values())
      if (node !== undefined) states.push({ node, pods, requested });
    return states;
  }

  /** The nodes as if these additional pods already ran on them. */
  nodesWith(more: readonly { readonly pod: Pod; readonly node: string }[]): NodeState[] {
    if (more.length === 0) return this.nodes();
    return this.nodes().map((state) => {
      const added = more
        .filter(({ node }) => node === state.node.metadata.name)
        .map(({ pod, node }) => placedOn(pod, node));
      if (added.length === 0) return state;
      const pods = new Map(state.pods);
      const requested = new Map(state.requested);
      for (const placed of added) {
        pods.set(placed.pod.metadata.uid ?? "", placed);
        for (const [name, value] of placed.requests) requested.set(name, (requested.get(name) ?? 0) + value);
      }
      return { ...state, pods, requested };
    });
  }

  repelling(): PlacedPod[] {
    return [...this.#repelling].flatMap((uid) => this.#byUid.get(uid) ?? []);
  }

  #state(name: string): MutableState {
    let state = this.#nodes.get(name);
    if (state === undefined)
      this.#nodes.set(name, (state = { node: undefined, pods: new Map(), requested: new Map() }));
    return state;
  }
}

function placedOn(pod: Pod, node: string): PlacedPod {
  return { pod, node, requests: requestsOf(pod), hostPorts: hostPortsOf(pod) };
}

/** The host ports that a pod uses. Sidecars count, and other init containers do not. */
export function hostPortsOf(pod: Pod): HostPort[] {
  const sidecars = (pod.spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === "Always");
  const ports: HostPort[] = [];
  for (const container of [...(pod.spec?.containers ?? []), ...sidecars]) {
    for (const { hostPort, hostIP = "", containerPort, protocol = "TCP" } of container.ports ?? []) {
      const port = pod.spec?.hostNetwork === true ? (hostPort ?? containerPort) : hostPort;
      if (port === undefined || port === 0) continue;
      ports.push({ protocol, address: hostIP === "" ? everyAddress : hostIP, port });
    }
  }
  return ports;
}

/** Whether two host ports conflict. Two pods can use the same port of a node at different addresses. */
export function portsConflict(a: HostPort, b: HostPort): boolean {
  return (
    a.port === b.port &&
    a.protocol === b.protocol &&
    (a.address === b.address || a.address === everyAddress || b.address === everyAddress)
  );
}

export function allocatable(node: Node, resource: string): number {
  const found = ownField(node.status?.allocatable, resource);
  // If the node does not state a maximum number of pods, the kubelet's default applies.
  return found === undefined && resource === "pods" ? 110 : quantity(found);
}
