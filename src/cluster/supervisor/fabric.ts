import { writeFileSync } from "node:fs";
import { NetworkNamespace, RouteNetlink } from "../../net/index.ts";
import { labNetwork, type ClusterNode } from "../record/index.ts";

/** The interface indexes that the links get. Fixed indexes make a look-up unnecessary. */
const bridgeIndex = 2;
const nodeLinkIndex = 2;
const firstNodeLinkIndex = 100;

/**
 * The lab's network between nodes: a bridge in the supervisor's namespace, which acts as the user's host (172.18.0.1).
 */
export class Fabric implements Disposable {
  readonly #nodes = new Map<string, NetworkNamespace>();

  constructor(nodes: readonly ClusterNode[]) {
    using host = new RouteNetlink();
    writeSysctls({ "ipv4/ip_forward": "1", "ipv4/conf/all/rp_filter": "0", "ipv4/conf/default/rp_filter": "0" });
    host.batch(() => {
      host.setLoopbackUp();
      host.addBridge({ name: "fabric0", index: bridgeIndex, macAddress: macAddress(0, 1) });
      host.setLink(bridgeIndex, { up: true });
      host.addAddress(bridgeIndex, { address: labNetwork.hostAddress, prefixLength: labNetwork.prefixLength });
    });
    for (const [index, node] of nodes.entries()) this.#addNode(host, node, index, nodes);
    const controlPlane = nodes[0];
    if (controlPlane === undefined) return;
    const [address = "", length = "16"] = labNetwork.serviceCidr.split("/");
    host.addRoute({ destination: { address, prefixLength: Number(length) }, gateway: controlPlane.address });
  }

  /** The network namespace of a node. It stays open until {@link Symbol.dispose}. */
  namespaceOf(nodeName: string): NetworkNamespace {
    const namespace = this.#nodes.get(nodeName);
    if (namespace === undefined) throw new Error(`no node "${nodeName}"`);
    return namespace;
  }

  [Symbol.dispose](): void {
    for (const namespace of this.#nodes.values()) namespace.close();
    this.#nodes.clear();
  }

  #addNode(host: RouteNetlink, node: ClusterNode, index: number, all: readonly ClusterNode[]): void {
    const namespace = NetworkNamespace.create();
    this.#nodes.set(node.name, namespace);
    namespace.enter(() =>
      writeSysctls({
        "ipv4/ip_forward": "1",
        "ipv4/conf/all/rp_filter": "0",
        "ipv4/conf/default/rp_filter": "0",
        "ipv4/ip_unprivileged_port_start": "0",
      }),
    );
    const linkIndex = firstNodeLinkIndex + index;
    host.addVeth({
      name: `node${index}`,
      index: linkIndex,
      masterIndex: bridgeIndex,
      peer: { name: "eth0", index: nodeLinkIndex, macAddress: macAddress(1, index), namespaceFd: namespace.fd },
    });
    using inside = new RouteNetlink(namespace.fd);
    inside.batch(() => {
      inside.setLoopbackUp();
      inside.setLink(nodeLinkIndex, { up: true });
      inside.addAddress(nodeLinkIndex, { address: node.address, prefixLength: labNetwork.prefixLength });
    });
    inside.batch(() => {
      inside.addRoute({ destination: { address: "0.0.0.0", prefixLength: 0 }, gateway: labNetwork.hostAddress });
      for (const other of all) if (other.name !== node.name) inside.addRoute(podRoute(other));
    });
    host.setLink(linkIndex, { up: true });
    host.addRoute(podRoute(node));
  }
}

function podRoute(node: ClusterNode): { destination: { address: string; prefixLength: number }; gateway: string } {
  const [address = "", length = "24"] = node.podCidr.split("/");
  return { destination: { address, prefixLength: Number(length) }, gateway: node.address };
}

/** A locally administered MAC address: 02:5e:00:01:… */
function macAddress(high: number, low: number): Uint8Array {
  return Uint8Array.of(0x02, 0x5e, 0, 1, high, low);
}

function writeSysctls(values: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(values)) writeFileSync(`/proc/sys/net/${name}`, value);
}
