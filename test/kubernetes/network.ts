// The network: an Ethernet in the run's network namespace, in which the client runs too, and a namespace for each node.
import {
  clientAddress,
  loadBalancerRange,
  nodeAddress,
  nodeName,
  nodeNumbers,
  podRangeOf,
  serviceRange,
  type NodeNumber,
} from "./cluster-layout.ts";
import { runCommand } from "./run-command.ts";

const bridge = "wire";
const ip = (...words: readonly string[]): string => runCommand(["ip", ...words]);

export const networkOf = (node: NodeNumber): string => `/run/netns/${nodeName(node)}`;

/** Makes the bridge, and the routes to pods, Services and LoadBalancer addresses that a router would have. */
export function createNetwork(): void {
  ip("link", "add", bridge, "type", "bridge");
  ip("addr", "add", `${clientAddress}/24`, "dev", bridge);
  ip("link", "set", bridge, "up");
  for (const range of [serviceRange, loadBalancerRange]) ip("route", "add", range, "via", nodeAddress(1));
  for (const node of nodeNumbers) ip("route", "add", podRangeOf(node), "via", nodeAddress(node));
  for (const node of nodeNumbers) attachNode(node);
}

export function attachNode(node: NodeNumber): void {
  const name = nodeName(node);
  ip("netns", "add", name);
  ip("link", "add", `to-${name}`, "type", "veth", "peer", "name", "eth0", "netns", name);
  ip("link", "set", `to-${name}`, "master", bridge, "up");
  ip("-n", name, "link", "set", "lo", "up");
  ip("-n", name, "addr", "add", `${nodeAddress(node)}/24`, "dev", "eth0");
  ip("-n", name, "link", "set", "eth0", "up");
  ip("-n", name, "route", "add", "default", "via", clientAddress);
  for (const other of nodeNumbers)
    if (other !== node) ip("-n", name, "route", "add", podRangeOf(other), "via", nodeAddress(other));
  // kube-proxy refuses connections to a Service without endpoints by ICMP. By default, the kernel sends a client only
  // one such refusal a second, so other requests would seem to hang.
  for (const setting of ["net.ipv4.ip_forward=1", "net.ipv4.icmp_ratelimit=0"])
    runCommand(["nsenter", `--net=${networkOf(node)}`, "sysctl", "-qw", setting]);
}

/**
 * Removes a node's namespace and link. The kernel removes the link of an ended namespace with a delay, and a node that
 * starts in the meantime needs the link's name.
 */
export function detachNode(node: NodeNumber): void {
  ip("link", "del", `to-${nodeName(node)}`);
  ip("netns", "del", nodeName(node));
}

/** Disconnects a node's link, or connects it again. */
export function setCable(node: NodeNumber, state: "up" | "down"): void {
  ip("link", "set", `to-${nodeName(node)}`, state);
}
