import { existsSync } from "node:fs";
import { join } from "node:path";
import type { KubernetesObject } from "../../../src/api/index.ts";
import { podKind, type Pod } from "../../../src/api/kubernetes/index.ts";
import { canaryKind, meshUpgradeKind } from "../../../src/api/serin/index.ts";
import { eventually } from "../../support/eventually.ts";
import type { Bench, Case } from "../bench.ts";
import { root } from "../real-cluster.ts";
import { shop } from "./bookinfo.ts";
import { loadLayout } from "./install.ts";
import { leftOnNodes } from "./uninstall.ts";

const namespace = "istio-system";
/** The charts in the order of their installation. The CNI agent is removed first, because it releases the pods. */
const releases = [
  { name: "istio-base", chart: "base", values: [] },
  { name: "istiod", chart: "istiod", values: ["--set", "profile=ambient"] },
  { name: "istio-cni", chart: "cni", values: ["--set", "profile=ambient"] },
  { name: "ztunnel", chart: "ztunnel", values: [] },
] as const;
const removal = ["istio-cni", "ztunnel", "istiod", "istio-base"] as const;
const captured = "ambient.istio.io/redirection";

/**
 * Removes what another installer has left. Helm does not adopt CRDs that it has not written. An agent that has lost its
 * rights during the removal could not remove its annotations.
 */
export async function tidyUp({ cluster }: Bench): Promise<void> {
  const names = (await cluster.kubectl("get", "customresourcedefinitions", "-o", "name"))
    .split("\n")
    .filter((name) => /\.(istio\.io|serin\.dev)$/.test(name));
  // The rollout engine is gone, and nothing else removes its finalizers.
  for (const kind of [canaryKind, meshUpgradeKind]) {
    if (!names.some((name) => name.endsWith(`/${kind.plural}.${kind.group}`))) continue;
    const { items } = await cluster.api.client.list<KubernetesObject>(kind);
    for (const { metadata } of items)
      await cluster.api.client.patchMerge<KubernetesObject>(kind, metadata.name ?? "", metadata.namespace, {
        metadata: { finalizers: null },
      });
  }
  if (names.length > 0) await cluster.kubectl("delete", ...names);
  // Delete the pods first: the namespace controller looks again only after half of their grace period.
  for (const one of [namespace, "serin-system"]) {
    await cluster.run(["kubectl", "delete", "deployments,daemonsets", "--all", "-n", one, "--timeout=60s"]);
    await cluster.run(["kubectl", "wait", "--for=delete", "pod", "--all", "-n", one, "--timeout=120s"]);
  }
  await cluster.deleteNamespaces(namespace, "serin-system");
  await cluster.kubectl("annotate", "pods", "--all", "-n", shop, `${captured}-`);
}

/** Whether the pod belongs to an application. Gateways and waypoints are proxies, and do not. */
function isApplication({ metadata: { labels = {} }, status }: Pod): boolean {
  return labels["gateway.networking.k8s.io/gateway-name"] === undefined && status?.phase === "Running";
}

async function untilCaptured({ cluster }: Bench): Promise<number> {
  return await eventually(`every pod of ${shop} is captured`, async () => {
    const { items } = await cluster.api.client.list(podKind, { namespace: shop });
    const pods = items.filter(isApplication);
    const isDone = pods.every(({ metadata }) => metadata.annotations?.[captured] === "enabled");
    return pods.length > 0 && isDone ? pods.length : undefined;
  });
}

/** Waits until every pod of the mesh runs images of the version. Pods that are ending do not count. */
async function untilRunning({ cluster }: Bench, version: string): Promise<void> {
  await eventually(`every pod of ${namespace} runs ${version}`, async () => {
    const { items } = await cluster.api.client.list(podKind, { namespace });
    const images = items
      .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
      .flatMap(({ spec }) => (spec?.containers ?? []).map(({ image }) => image ?? ""));
    return images.length > 0 && images.every((image) => image.endsWith(`:${version}`));
  });
}

function helmCase(major: "3" | "4", after: string): Case {
  return {
    name: `helm-${major}`,
    title: `helm ${major} installs the charts, takes running pods into the mesh, upgrades in place, rolls back, and uninstalls`,
    after: [after],
    async run(bench) {
      const { cluster, load, next } = bench;
      const program = join(root, `.cache/helm/helm-${major}`);
      if (!existsSync(program)) throw new Error(`${program} is missing: scripts/fetch/helm.sh ${major} builds it`);
      const helm = async (...args: readonly string[]): Promise<string> =>
        await cluster.ok([program, ...args, "-n", namespace], { timeoutMs: 330_000 });
      await tidyUp(bench);
      const directory = join(cluster.files.scratch, "charts");
      const archives = (await cluster.serin("charts", "package", directory)).split("\n");
      const archiveOf = (chart: string): string => {
        const archive = archives.find((path) => new RegExp(`/${chart}-[\\d.]+\\.tgz$`).test(path));
        if (archive === undefined) throw new Error(`serin charts package wrote no archive of ${chart}`);
        return archive;
      };
      for (const { name, chart, values } of releases)
        await helm("install", name, archiveOf(chart), "--create-namespace", ...values, "--wait", "--timeout", "300s");
      const pods = await untilCaptured(bench);
      await load.more(100);
      await loadLayout(cluster, next.images);
      const [, installed = ""] = /-([\d.]+)\.tgz$/.exec(archiveOf("istiod")) ?? [];
      const tag = ["--set", `global.tag=${next.version}`];
      for (const { name, chart, values } of releases) {
        await helm("upgrade", name, archiveOf(chart), ...values, ...tag, "--wait", "--timeout", "300s");
        await load.more(100);
      }
      await untilRunning(bench, next.version);
      for (const { name } of releases.toReversed()) {
        await helm("rollback", name, "1", "--wait", "--timeout", "300s");
        await load.more(100);
      }
      await untilRunning(bench, installed);
      await untilCaptured(bench);
      for (const name of removal)
        await helm("uninstall", name, "--wait", "--cascade", "foreground", "--timeout", "300s");
      await load.more(100);
      await eventually("nothing is left on the nodes", async () => (await leftOnNodes(cluster)).length === 0);
      return `${pods} pods were captured, upgraded to ${next.version} and back, and released; nothing is left on the nodes`;
    },
  };
}

export const helm3Case = helmCase("3", "uninstall");
export const helm4Case = helmCase("4", "helm-3");
