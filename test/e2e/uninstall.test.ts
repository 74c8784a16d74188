import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { withNewestKubectl } from "../support/kubectls.ts";
import { LabCluster, root } from "../support/lab-cluster.ts";
import { PodLoad } from "../support/pod-load.ts";

const lab = withNewestKubectl(() => new LabCluster("uninstall"));
before(async () => {
  assert.equal((await lab.createTwoNodes()).code, 0);
  await lab.ok([lab.serin, "install", "--set", "profile=ambient", "-y"]);
});
after(async () => await lab.delete());

test("everything is uninstalled while pods are captured: no request fails, and nothing stays on a node", async () => {
  await lab.ok(["kubectl", "label", "namespace", "default", "istio.io/dataplane-mode=ambient"]);
  for (const file of ["bookinfo/platform/kube/bookinfo.yaml", "curl/curl.yaml"])
    await lab.ok(["kubectl", "apply", "-f", join(root, "samples", file)]);
  await lab.ok(["kubectl", "wait", "--for=condition=Ready", "pod", "--all", "--timeout=180s"]);
  const captured = async (): Promise<string> =>
    await lab.ok(["kubectl", "get", "pods", "-o", "jsonpath={.items[*].metadata.annotations}"]);
  assert.match(await captured(), /ambient\.istio\.io\/redirection/);
  const load = new PodLoad(lab, {
    namespace: "default",
    workload: "deploy/curl",
    container: "curl",
    urls: ["http://details:9080/details/0", "http://productpage:9080/productpage"],
  });
  await load.begun();
  const uninstallOutput = await lab.ok([lab.serin, "uninstall", "--purge", "-y"]);
  assert.match(
    uninstallOutput,
    /These pods are in the mesh:\n {2}ambient, which continue in plain text: default \(7 pods\)/,
  );
  assert.ok(
    uninstallOutput.indexOf("istio-cni-node") < uninstallOutput.indexOf("DaemonSet:istio-system:ztunnel"),
    uninstallOutput,
  );
  await load.more(30);
  await load.stop();
  assert.deepEqual(load.failures, []);
  assert.doesNotMatch(await captured(), /ambient\.istio\.io\/redirection/);
  const nodes = join(lab.stateDirectory, "nodes");
  for (const node of readdirSync(nodes)) {
    const path = (...parts: readonly string[]): string => join(nodes, node, ...parts);
    assert.deepEqual(readdirSync(path("etc/cni/net.d")), ["10-lab.conflist"]);
    assert.doesNotMatch(readFileSync(path("etc/cni/net.d/10-lab.conflist"), "utf8"), /serin-cni/);
    assert.deepEqual(readdirSync(path("opt/cni/bin")), ["lab"]);
    assert.deepEqual(readdirSync(path("var/run/istio-cni")), []);
  }
  // A pod that starts now must need neither a webhook nor a CNI agent.
  await lab.ok(["kubectl", "rollout", "restart", "deployment/details-v1"]);
  await lab.ok(["kubectl", "rollout", "status", "deployment/details-v1", "--timeout=120s"]);
  await eventually("the details service answers a pod", async () => {
    const { output } = await lab.run([
      "kubectl",
      "exec",
      "deploy/curl",
      "--",
      "curl",
      "-s",
      "http://details:9080/details/0",
    ]);
    return output.includes("William Shakespeare");
  });
});
