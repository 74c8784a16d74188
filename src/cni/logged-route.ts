import type { Node, Pod } from "../api/kubernetes/index.ts";

/**
 * The route to a captured pod in the log format of the agent of 2022. The present capture is inside the pod and needs
 * no route.
 */
export function loggedRoute({ metadata }: Pod, node: Node | undefined, address: string): string {
  const { name = "", namespace = "" } = metadata;
  return `Adding route for ${name}/${namespace}: [table 100 ${address}/32 via 192.168.126.2 dev istioin src ${sourceOn(node)}]`;
}

/**
 * The node's address in its range of pod addresses, or its own address if the cluster's network gives nodes no such
 * range.
 */
function sourceOn(node: Node | undefined): string {
  const [network] = (node?.spec?.podCIDR ?? "").split("/");
  if (network !== undefined && network !== "") return network.replace(/\.0$/, ".1");
  return node?.status?.addresses?.find(({ type }) => type === "InternalIP")?.address ?? "";
}
