import assert from "node:assert/strict";
import { test } from "node:test";
import { describeError, transientError } from "../../base/index.ts";
import { createProgram } from "../program.ts";
import { FakeContext, type FakeCluster } from "../testing/fake-context.ts";

const pilot = (name: string, revision: string) => ({
  metadata: { name, namespace: "istio-system", labels: { app: "istiod", "istio.io/rev": revision } },
  status: { phase: "Running" },
});
const scopes = JSON.stringify([
  { name: "default", description: "All log lines.", output_level: "info", stack_trace_level: "none" },
  { name: "ads", output_level: "debug" },
]);
const clusters = JSON.stringify([{ id: "Kubernetes", secretName: "", syncStatus: "synced" }]);
const cluster: FakeCluster = {
  objects: { Pod: [pilot("istiod-1", "default"), pilot("istiod-2", "canary")] },
  pods: {
    "GET istiod-1.istio-system:9876/scopej/": scopes,
    "GET istiod-2.istio-system:9876/scopej/": scopes,
    "PUT istiod-2.istio-system:9876/scopej/ads": "",
  },
  answers: Object.fromEntries(
    ["istiod-1", "istiod-2"].map((name) => [
      `/api/v1/namespaces/istio-system/pods/${name}:8080/proxy/debug/clusterz`,
      clusters,
    ]),
  ),
};

async function serin(line: string, fakeCluster: FakeCluster = cluster): Promise<string> {
  const context = new FakeContext(fakeCluster);
  await createProgram(context).parseAsync(line.split(" "));
  return context.output;
}

async function refused(line: string, fakeCluster?: FakeCluster): Promise<string> {
  return await serin(line, fakeCluster).then(() => assert.fail("it was not refused"), describeError);
}

test("the log scopes of a control plane are listed, and one is changed", async () => {
  assert.equal(
    await serin("admin log"),
    "ACTIVE SCOPE   DESCRIPTION      LOG LEVEL   STACK TRACE LEVEL\nads                             debug       none\ndefault        All log lines.   info        none\n",
  );
  assert.equal(await serin("admin log -r canary --level ads:warn"), "");
  assert.equal(
    await refused("admin log --level asd:warn"),
    'there is no scope "asd"; did you mean ads?\n  hint: scopes are default, ads',
  );
  const single = JSON.stringify([{ name: "default", output_level: "info" }]);
  const pods = { "GET istiod-1.istio-system:9876/scopej/": single };
  assert.equal(
    await refused("admin log --level ads:debug,authorization:debug", { ...cluster, pods }),
    'there is no scope "ads"\n  hint: this control plane has only the scope default: --level debug',
  );
  assert.match(await refused("admin log istiod-3"), /^there is no istiod "istiod-3"; did you mean istiod-1\?/);
});

test("a tag that the API server cannot be asked for is not reported as an unknown revision", async () => {
  let lists = 0;
  const listRefusal = ({ kind }: { readonly kind: string }): Error | undefined =>
    kind === "MutatingWebhookConfiguration" && (lists += 1) === 2
      ? transientError("timeout", "list of MutatingWebhookConfigurations: etcd does not answer")
      : undefined;
  assert.match(await refused("admin log -r stable", { ...cluster, listRefusal }), /etcd does not answer/);
  assert.match(await refused("admin log -r stable"), /^no control plane of revision "stable" runs/);
});

test("each control plane lists the clusters that it watches", async () => {
  assert.equal(
    await serin("remote-clusters"),
    "NAME           SECRET     STATUS     ISTIOD       REVISION\nKubernetes                synced     istiod-1     default\nKubernetes                synced     istiod-2     canary\n",
  );
  assert.deepEqual(JSON.parse(await serin("remote-clusters -r canary -o json")), [
    { name: "Kubernetes", secret: "", status: "synced", istiod: "istiod-2", revision: "canary" },
  ]);
  assert.match(await serin("remote-clusters -o yaml"), /^- name: Kubernetes\n {2}secret: ""\n/);
});

test("the error names the missing right to query a control plane", async () => {
  const path = "/api/v1/namespaces/istio-system/pods/istiod-1:8080/proxy/debug/clusterz";
  const refusal = JSON.stringify({
    kind: "Status",
    message: 'pods "istiod-1" is forbidden: User "jane" cannot get resource "pods/proxy"',
  });
  assert.equal(
    await refused("remote-clusters -r default", {
      ...cluster,
      answers: { [path]: refusal },
      statuses: { [path]: 403 },
    }),
    'you may not reach istiod-1 through the API server: pods "istiod-1" is forbidden: User "jane" cannot get resource "pods/proxy"\n  hint: you need "get" on pods/proxy in namespace istio-system: kubectl auth can-i get pods/proxy -n istio-system',
  );
});
