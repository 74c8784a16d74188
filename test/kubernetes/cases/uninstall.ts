import { eventually } from "../../support/eventually.ts";
import type { Bench, Case } from "../bench.ts";
import { nodeNumbers } from "../cluster-layout.ts";
import type { RealCluster } from "../real-cluster.ts";
import { shop } from "./bookinfo.ts";

/** Lists what Serin has left on each node: tables of nf_tables, routing rules, and files of the CNI plugin. */
export async function leftOnNodes(cluster: RealCluster): Promise<string[]> {
  const left: string[] = [];
  for (const number of nodeNumbers) {
    const node = cluster.nodes[number];
    const found = await node.ok([
      "sh",
      "-c",
      "nft list tables | grep -i istio; ip rule | grep -E '32764|0x539'; ls /etc/cni/net.d /opt/cni/bin | grep -iE 'serin|istio'; true",
    ]);
    if (found.trim() !== "") left.push(`n${number}: ${found.trim().replaceAll("\n", "; ")}`);
  }
  return left;
}

/**
 * Prepares bookinfo for the removal of the mesh: its load must need nothing of the mesh. The gateway loses its control
 * plane, so the load from outside ends. Under STRICT, a pod in the mesh refuses one that is not, and the agents release
 * one pod after the other, so the policies go. The waypoint loses its control plane too. The load from a pod goes on.
 */
export async function leaveMesh({ cluster, load }: Bench): Promise<void> {
  await load.stop();
  await cluster.kubectl("delete", "peerauthentication", "-A", "--all", "--ignore-not-found");
  await cluster.kubectl("label", "namespace", shop, "istio.io/use-waypoint-");
  await load.more(100);
}

/**
 * Deletes the Gateways of a namespace, and waits until their proxies have ended. If the control plane is gone, nothing
 * ends the proxies, so their Deployments are deleted too.
 */
export async function deleteGateways({ cluster }: Bench, namespace: string): Promise<void> {
  const proxies = "gateway.networking.k8s.io/gateway-name";
  const ignoring = ["-n", namespace, "--ignore-not-found"];
  // The cluster may have no such kind.
  await cluster.run(["kubectl", "delete", "gateways.gateway.networking.k8s.io", "--all", ...ignoring]);
  await cluster.kubectl("delete", "deployments", "-l", proxies, ...ignoring);
  await cluster.kubectl("wait", "--for=delete", "pod", "-l", proxies, "-n", namespace, "--timeout=120s");
}

export const uninstallCase: Case = {
  name: "uninstall",
  title: "serin uninstall --purge while pods are captured: no request fails, and nothing stays on the nodes",
  after: ["bookinfo"],
  async run(bench) {
    const { cluster, load } = bench;
    await leaveMesh(bench);
    const said = await cluster.serin("uninstall", "--purge", "-y");
    await eventually("istio-system has no pods", async () => {
      const { output } = await cluster.run(["kubectl", "get", "pods", "-n", "istio-system", "-o", "name"]);
      return !output.includes("pod/");
    });
    await load.more(100);
    const left = await leftOnNodes(cluster);
    if (left.length > 0) throw new Error(`left on the nodes: ${left.join(" | ")}`);
    const found = await cluster.serin("doctor", "--kubernetes");
    for (const [text, pattern] of [
      [said, new RegExp(`Gateways of namespace ${shop}, .*: bookinfo-gateway`)],
      [found, new RegExp(`! mesh \\(Deployment ${shop}/bookinfo-gateway-istio\\): .*there is no control plane`)],
    ] as const)
      if (!pattern.test(text)) throw new Error(`it did not say ${pattern}:\n${text}`);
    return "nothing is left, and the gateways whose proxies stay are named";
  },
};
