import type { Node, Pod } from "../api/kubernetes/index.ts";

/**
 * Returns a log line about a captured pod in the format of upstream's agent of 2022, which made a route for each pod.
 * The present capture is inside the pod and needs no route.
 */
export function loggedRoute({ metadata }: Pod, node: Node | undefined, address: string): string {
  const { name = "", namespace = "" } = metadata;
  return `Adding route for ${name}/${namespace}: [table 100 ${address}/32 via 192.168.126.2 dev istioin src ${sourceOn(node)}]`;
}

/**
 * Returns the source address of the logged route: the node's address in its pod CIDR, or the node's own address if it
 * has no pod CIDR.
 */
function sourceOn(node: Node | undefined): string {
  const [network] = (node?.spec?.podCIDR ?? "").split("/");
  if (network !== undefined && network !== "") return network.replace(/\.0$/, ".1");
  return node?.status?.addresses?.find(({ type }) => type === "InternalIP")?.address ?? "";
}
