// What the cases of refused installations share: what installations say, and what they leave.
import { join } from "node:path";
import { eventually } from "../../support/eventually.ts";
import type { Bench } from "../bench.ts";
import { root } from "../real-cluster.ts";
import type { Ran } from "../run-command.ts";
import { shop } from "./bookinfo.ts";
import { deleteGateways, leaveMesh, leftOnNodes } from "./uninstall.ts";

export const namespace = "istio-system";

export async function serin(
  { cluster }: Bench,
  args: readonly string[],
  kubeconfig = cluster.kubeconfig,
): Promise<Ran> {
  return await cluster.run([join(root, "bin/serin"), ...args], {
    env: { KUBECONFIG: kubeconfig },
    timeoutMs: 400_000,
  });
}

/** Runs an installation that must fail. Its output must match all of these patterns. */
export async function refused(
  bench: Bench,
  flags: readonly string[],
  words: readonly RegExp[],
  kubeconfig?: string,
): Promise<string> {
  const args = ["install", "--set", "profile=ambient", "-y", ...flags];
  const { code, output } = await serin(bench, args, kubeconfig);
  if (code === 0) throw new Error(`serin ${args.join(" ")} ended with 0:\n${output}`);
  expectWords(output, words);
  return output;
}

export function expectWords(output: string, words: readonly RegExp[]): void {
  const missing = words.filter((pattern) => !pattern.test(output));
  if (missing.length > 0) throw new Error(`it did not say ${missing.join(", ")}:\n${output}`);
}

/**
 * The name of what the cluster's administrators have written: quotas, limits and policies. An uninstall must leave
 * these.
 */
export const ofAdministrators = "of-administrators";
const quotaOfAdministrators = `resourcequota/${ofAdministrators}`;

/** Objects that controllers write into every namespace. As in Istio, those of istiod stay. */
const ofAnyNamespace = /^(configmap\/(kube-root-ca\.crt|istio-ca-root-cert)|serviceaccount\/default)$/;

/** What an installation writes, apart from CRDs and namespaces. */
export async function written({ cluster }: Bench): Promise<string[]> {
  const kinds = "clusterroles,clusterrolebindings,mutatingwebhookconfigurations,validatingwebhookconfigurations";
  const inNamespaces =
    "deployments,daemonsets,services,configmaps,serviceaccounts,roles,rolebindings,hpa,pdb,quota,pods";
  const everywhere = (await cluster.kubectl("get", kinds, "-o", "name")).split("\n");
  const inside = await Promise.all(
    [namespace, "serin-system"].map(async (name) =>
      (await cluster.kubectl("get", inNamespaces, "-n", name, "-o", "name")).split("\n"),
    ),
  );
  return [...everywhere.filter((name) => /istio|serin|ztunnel/.test(name)), ...inside.flat()].filter(
    (name) => name !== "" && name !== quotaOfAdministrators && !ofAnyNamespace.test(name),
  );
}

/**
 * Removes a mesh that earlier cases have left, because these cases begin without one. They also install and upgrade
 * meshes of their own, so bookinfo's Gateways go too:
 *
 * - A waypoint that stays trusts the CA of the removed mesh. It refuses connections of the next mesh until the kubelet
 *   brings it the root of the new CA.
 * - An upgrade waits for requests through each gateway, and nobody sends any to bookinfo's.
 */
export async function withoutMesh(bench: Bench): Promise<void> {
  const { cluster } = bench;
  const found = await cluster.kubectl("get", "deployments,daemonsets", "-n", namespace, "-o", "name");
  if ((await cluster.run(["kubectl", "get", "namespace", shop])).code === 0) {
    // Without a mesh, the case `uninstall` has done this.
    if (found.trim() !== "") await leaveMesh(bench);
    await deleteGateways(bench, shop);
  }
  if (found.trim() !== "") await cluster.serin("uninstall", "--purge", "-y");
  await cluster.deleteNamespaces(namespace, "serin-system");
}

export async function uninstallLeavesNothing(bench: Bench): Promise<void> {
  await bench.cluster.serin("uninstall", "--purge", "-y");
  let left: string[] = [];
  const isClean = async (): Promise<boolean> => {
    left = [...(await written(bench)), ...(await leftOnNodes(bench.cluster))];
    return left.length === 0;
  };
  await eventually("an uninstall leaves nothing of what was installed by half", isClean).catch(() => {
    throw new Error(`serin uninstall --purge leaves ${left.join(", ")}`);
  });
  await bench.cluster.deleteNamespaces(namespace, "serin-system");
}
