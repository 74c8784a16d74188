import type { Node, Pod } from "../api/kubernetes/index.ts";

/**
 * The route that led to a captured pod in 2022, as the agent of that time logged it. The present capture is inside the
 * pod and needs none.
 */
export function loggedRoute({ metadata }: Pod, node: Node | undefined, address: string): string {
  const { name = "", namespace = "" } = metadata;
  return `Adding route for ${name}/${namespace}: [table 100 ${address}/32 via 192.168.126.2 dev istioin src ${sourceOn(node)}]`;
}

/** The node's address among its pods; its own where the cluster's network gives nodes no range of pods. */
function sourceOn(node: Node | undefined): string {
  const [network] = (node?.spec?.podCIDR ?? "").split("/");
  if (network !== undefined && network !== "") return network.replace(/\.0$/, ".1");
  return node?.status?.addresses?.find(({ type }) => type === "InternalIP")?.address ?? "";
}
