// Uses the charts as users of Helm do, from the repository that `serin charts serve` provides.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../support/eventually.ts";
import { root } from "../support/lab-cluster.ts";
import type { Walkthrough } from "../support/walkthrough.ts";

const chartPort = 8879;
const lookMs = 1000;
const charts = ["base", "istiod", "cni", "ztunnel", "gateway", "istio-operator"];
const releases = [
  { name: "istio-base", chart: "base", namespace: "istio-system", values: "" },
  { name: "istiod", chart: "istiod", namespace: "istio-system", values: "--set profile=ambient" },
  { name: "istio-cni", chart: "cni", namespace: "istio-system", values: "--set profile=ambient" },
  { name: "ztunnel", chart: "ztunnel", namespace: "istio-system", values: "" },
  { name: "gw", chart: "gateway", namespace: "ingress", values: "" },
  {
    name: "operator",
    chart: "istio-operator",
    namespace: "istio-operator-v16x-system",
    values: "--set-string operator.image.tag=0.6.12 --set-string istioVersion=1.6",
  },
];
/** The limits are high, because the machine may be busy. */
const waited = "--wait --timeout 300s";
const leftoverTimeoutMs = 180_000;

/**
 * Lists Serin's objects. Leaves out the roots, which an uninstall keeps on purpose, and the objects of the lab itself.
 */
const leftovers =
  "kubectl get deployment,daemonset,service,configmap,secret,serviceaccount,mutatingwebhookconfiguration,validatingwebhookconfiguration,clusterrole,clusterrolebinding,role,rolebinding,poddisruptionbudget,horizontalpodautoscaler -A -o name | grep -E 'istio|ztunnel|serin' | grep -v -E 'istio-ca-root-cert|istio-ca-secret|serin-lab|serin-bootstrap' || true";

/** Waits until nothing is left. Objects that are being deleted may take a moment to disappear. */
export async function nothingIsLeft(walkthrough: Walkthrough): Promise<void> {
  const deadline = Date.now() + leftoverTimeoutMs;
  for (;;) {
    const left = (await walkthrough.ok(leftovers)).trim();
    if (left === "") return;
    assert.ok(Date.now() < deadline, `is left after ${leftoverTimeoutMs / 1000} s: ${left}`);
    await new Promise((resolve) => setTimeout(resolve, lookMs));
  }
}

/** Deletes namespaces and CRDs, which uninstalling keeps. */
export async function emptyCluster(walkthrough: Walkthrough): Promise<void> {
  await walkthrough.ok(
    "kubectl delete namespace istio-system serin-system ingress istio-operator-v16x-system --ignore-not-found --wait",
  );
  await walkthrough.ok(
    "kubectl get crd -o name | grep -E 'istio.io|serin.dev|banzaicloud.io' | xargs -r kubectl delete",
  );
}

const heldCanary = {
  apiVersion: "rollout.serin.dev/v1alpha1",
  kind: "Canary",
  metadata: { name: "held", namespace: "default", finalizers: ["rollout.serin.dev/undo"] },
  spec: { target: { deployment: { name: "absent", service: "absent" } }, steps: [{ weight: 10 }] },
};

/** Checks that helm refuses to remove the engine, without which nothing could remove this Canary's finalizer. */
async function keepsNeededEngine(walkthrough: Walkthrough, helm: string): Promise<void> {
  await walkthrough.ok(`echo '${JSON.stringify(heldCanary)}' | kubectl apply -f -`);
  const upgrade = `${helm} upgrade istio-base istio/base -n istio-system --set rollout.enabled=false`;
  assert.match(
    await walkthrough.ok(`${upgrade} 2>&1 && exit 1 || true`),
    /rollout\.enabled: must stay true while rollouts need their engine.*: Canary default\/held\. Delete it first/s,
  );
  assert.match(
    await walkthrough.ok(`${helm} uninstall istio-base -n istio-system 2>&1 && exit 1 || true`),
    /serin-rollout-removal/,
  );
  assert.match(
    await walkthrough.ok("kubectl logs -n serin-system job/serin-rollout-removal"),
    /kubectl delete canary\.rollout\.serin\.dev held -n default/,
  );
  await walkthrough.ok("kubectl delete canaries.rollout.serin.dev held -n default --timeout=60s");
}

export async function useCharts(walkthrough: Walkthrough, major: "3" | "4"): Promise<void> {
  const helm = join(root, `.cache/helm/helm-${major}`);
  assert.ok(existsSync(helm), `there is no .cache/helm/helm-${major}: scripts/fetch/helm.sh builds it`);
  const { lab } = walkthrough;
  const ok = walkthrough.ok.bind(walkthrough);
  await emptyCluster(walkthrough);
  // The first pod needs the Secret of a private registry.
  await ok("kubectl create namespace serin-system");
  const server = lab.spawnInShell(["serin", "charts", "serve", "--port", String(chartPort)]);
  try {
    await eventually(
      "the charts are served",
      async () => await walkthrough.shows(`curl -s http://127.0.0.1:${chartPort}/index.yaml`, "istio-operator"),
    );
    await ok(`${helm} repo add istio http://127.0.0.1:${chartPort} --force-update && ${helm} repo update`);
    for (const chart of charts)
      await ok(
        `rm -rf charts; ${helm} pull istio/${chart} --untar -d charts && ${helm} lint charts/${chart} && ${helm} template x istio/${chart}`,
      );
    for (const { name, chart, namespace, values } of releases)
      await ok(`${helm} install ${name} istio/${chart} -n ${namespace} --create-namespace ${values} ${waited}`);
    for (const { name, chart, namespace, values } of releases)
      await ok(`${helm} upgrade ${name} istio/${chart} -n ${namespace} ${values} ${waited}`);
    assert.equal((await ok(`${helm} list -A -q`)).trim().split("\n").length, releases.length);
    await keepsNeededEngine(walkthrough, helm);
    // The release for a second revision must not contain the account, which belongs to the first release.
    await ok(`${helm} install ztunnel-next istio/ztunnel -n istio-system --set revision=next --dry-run=server`);
    for (const { name, namespace } of releases.toReversed())
      await ok(`${helm} uninstall ${name} -n ${namespace} --wait`);
    // Uninstalling keeps the account, because ztunnels of other revisions may need it.
    await ok("kubectl delete serviceaccount -n istio-system ztunnel");
    await nothingIsLeft(walkthrough);
    assert.match(await ok("kubectl get namespace serin-system"), /Active/);
  } finally {
    const ended = new Promise((resolve) => server.once("close", resolve));
    server.kill("SIGTERM");
    await ended;
  }
}
