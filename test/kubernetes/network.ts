// One Ethernet in the run's own network namespace, which is the client's as well, and a namespace for each node.
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

/** The bridge, and the way to pods, Services and LoadBalancer addresses as a router of the network would know it. */
export function createNetwork(): void {
  ip("link", "add", bridge, "type", "bridge");
  ip("addr", "add", `${clientAddress}/24`, "dev", bridge);
  ip("link", "set", bridge, "up");
  for (const range of [serviceRange, loadBalancerRange]) ip("route", "add", range, "via", nodeAddress(1));
  for (const node of nodeNumbers) ip("route", "add", podRangeOf(node), "via", nodeAddress(node));
  for (const node of nodeNumbers) attachNode(node);
}

/** A node's network namespace with a cable to the bridge. */
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
  // kube-proxy refuses connections to a Service without endpoints by ICMP. The kernel sends one such refusal a second to
  // a client, and drops the others silently: requests would then seem to hang where they are refused.
  for (const setting of ["net.ipv4.ip_forward=1", "net.ipv4.icmp_ratelimit=0"])
    runCommand(["nsenter", `--net=${networkOf(node)}`, "sysctl", "-qw", setting]);
}

/** The kernel ends a namespace some time later, and the cable with it. A node that comes back meanwhile needs its name. */
export function detachNode(node: NodeNumber): void {
  ip("link", "del", `to-${nodeName(node)}`);
  ip("netns", "del", nodeName(node));
}

/** Pulls a node's cable, or puts it back. */
export function setCable(node: NodeNumber, state: "up" | "down"): void {
  ip("link", "set", `to-${nodeName(node)}`, state);
}
