// Runs the commands of docs/kubernetes.md on this cluster, in their order.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { blockOf, commandsOf } from "../../support/typed-blocks.ts";
import { eventually } from "../../support/eventually.ts";
import type { Bench, Case } from "../bench.ts";
import { root } from "../real-cluster.ts";
import { addressOf, page, shop } from "./bookinfo.ts";
import { tidyUp } from "./helm.ts";
import { loadLayout } from "./install.ts";
import { deleteGateways, leftOnNodes } from "./uninstall.ts";

const limitMs = 900_000;

const leftOut: readonly RegExp[] = [
  // The run has built the images, and loads them into containerd as the page says.
  /^npm run image$/,
  // The cases helm-3 and helm-4 run these.
  /^helm |^serin charts package/,
  // The page needs this only in clusters without LoadBalancers.
  /^kubectl port-forward/,
  // A restore needs a backup, and a program that this cluster lacks.
  /^velero |^kubectl (scale deployment\/serin-rollout|delete secret -n serin-system serin-rollout-author) |-l app=serin-rollout /,
];

const webhooks = "mutatingwebhookconfigurations,validatingwebhookconfigurations";

/** The commands of the page that this case types, in their order. */
export function typedCommands(guide: string): string[] {
  return commandsOf(guide).filter((line) => !leftOut.some((pattern) => pattern.test(line)));
}

/**
 * Replaces the next release's `serin` with this tree's, and adds the version as a flag, because the next release is
 * built from this tree.
 */
function asNextRelease(line: string, version: string): string {
  if (line.startsWith("serin install --set profile=empty")) return line.replace(" -y", ` --set tag=${version} -y`);
  return line.replace(/\.\/serin-[\d.]+/g, root);
}

async function type({ cluster }: Bench, directory: string, line: string): Promise<string> {
  const path = `${join(root, "bin")}:${cluster.environment["PATH"] ?? ""}`;
  const env = { PATH: path };
  return await cluster.ok(["bash", "-c", `cd ${directory} && ${line}`], { timeoutMs: limitMs, env, input: "y\n" });
}

export const guideCase: Case = {
  name: "guide",
  title: "the commands of docs/kubernetes.md, from the check of the cluster to the uninstall",
  async run(bench) {
    const { cluster, load, release, next, note } = bench;
    const guide = readFileSync(join(root, "docs/kubernetes.md"), "utf8");
    await load.stop();
    await deleteGateways(bench, shop);
    await cluster.deleteNamespaces(shop);
    await tidyUp(bench);
    for (const images of [release.images, next.images]) await loadLayout(cluster, images);
    const upgrade = blockOf(guide, "yaml")?.replaceAll(/tag: [\d.]+/g, `tag: ${next.version}`);
    writeFileSync(join(cluster.files.scratch, "upgrade.yaml"), upgrade ?? "");
    const commands = typedCommands(guide);
    for (const line of commands) {
      const isOfSamples = line.includes("samples/");
      const isOfNext = /^serin (install --set profile=empty|upgrade)/.test(line);
      const typed = isOfNext ? asNextRelease(line, next.version) : line;
      note(`$ ${typed}`);
      const stop = line.startsWith("serin upgrade start") ? await beginLoad(bench) : undefined;
      const output = await type(bench, isOfSamples ? root : cluster.files.scratch, typed);
      await stop?.();
      if (line.includes("status.addresses")) await thePageAnswers(bench, output.trim());
    }
    await eventually("nothing is left on the nodes", async () => (await leftOnNodes(cluster)).length === 0);
    const kinds = `customresourcedefinitions,gatewayclasses,namespaces,clusterroles,clusterrolebindings,${webhooks}`;
    const names = (await cluster.kubectl("get", kinds, "-o", "name")).split("\n");
    const left = names.filter((name) => /istio|serin|ztunnel/.test(name));
    if (left.length > 0) throw new Error(`left in the cluster: ${left.join(", ")}`);
    return `${commands.length} commands ended well, and nothing is left in the cluster and on the nodes`;
  },
};

/**
 * Sends requests through bookinfo's gateway, as the page says: the gateway's step waits for some. The other gateway has
 * no listener. The result ends the load.
 */
async function beginLoad(bench: Bench): Promise<() => Promise<void>> {
  const url = `http://${await addressOf(bench, "bookinfo-gateway-istio", shop)}/productpage`;
  return bench.load.begin("guide", [{ name: "guide: page", url, expected: page, perSecond: 12 }]);
}

async function thePageAnswers({ cluster }: Bench, address: string): Promise<void> {
  const url = `http://${address}/productpage`;
  await eventually(`${url} answers`, async () => {
    const { output } = await cluster.run(["curl", "-s", "-m", "3", url]);
    return output.includes(page) && output.includes("Reviews served by");
  });
}
