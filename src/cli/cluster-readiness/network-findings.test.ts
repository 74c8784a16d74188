import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubeClient } from "../../kube/index.ts";
import { findingsText, type ClusterFinding } from "./cluster-finding.ts";
import { networkFindings } from "./network-findings.ts";

/** The answers by path. A path without an answer gives 404. A number is an error status. */
type Answers = Readonly<Record<string, object | number>>;

const namespace = "istio-system";

async function examine(answers: Answers): Promise<ClusterFinding[]> {
  const raw = async (_method: string, path: string): Promise<object> => {
    const given = answers[path] ?? 404;
    const [status, value] = typeof given === "number" ? [given, { message: `refused with ${given}` }] : [200, given];
    return await Promise.resolve({ status, headers: {}, text: JSON.stringify(value) });
  };
  return await networkFindings({ raw } as unknown as KubeClient, namespace);
}

const complaints = (findings: readonly ClusterFinding[]): string[] =>
  findings.filter(({ level }) => level !== "ok").map((finding) => findingsText([finding]));

test("the finding about the network plugin says where the file of the chain is shown, before and after the installation", async () => {
  const detailWith = async (...others: readonly object[]): Promise<string | undefined> => {
    const findings = await examine({ "/apis/apps/v1/daemonsets": { items: others } });
    return findings.find(({ subject }) => subject === "network plugin")?.detail;
  };
  const agent = (place: string): object => ({ metadata: { name: "istio-cni-node", namespace: place } });
  const shows = "kubectl logs -n istio-system ds/istio-cni-node shows the file into which";
  const before = new RegExp(`; after the installation ${shows} the mesh's plugin is chained$`);
  assert.match((await detailWith()) ?? "", before);
  assert.match((await detailWith(agent("elsewhere"))) ?? "", before);
  assert.match(
    (await detailWith(agent(namespace))) ?? "",
    new RegExp(`; ${shows} the agent has chained the mesh's plugin$`),
  );
});

test("Cilium's settings are examined beside a cloud's own plugin too, and a plugin that runs on no node is ignored", async () => {
  const cilium = { metadata: { name: "cilium", namespace: "kube-system" } };
  const settings = { data: { "cni-exclusive": "true" } };
  const pluginsOf = async (...others: readonly object[]): Promise<readonly string[]> => {
    const findings = await examine({
      "/apis/apps/v1/daemonsets": { items: [...others, cilium] },
      "/api/v1/namespaces/kube-system/configmaps/cilium-config": settings,
    });
    return findings
      .filter(({ subject }) => subject === "network plugin" || subject === "Cilium")
      .map(({ level, object }) => `${level} ${object}`);
  };
  const seen = ["ok DaemonSet kube-system/cilium", "error ConfigMap kube-system/cilium-config"];
  const azure = { metadata: { name: "azure-cns", namespace: "kube-system" } };
  assert.deepEqual(await pluginsOf(azure), ["ok DaemonSet kube-system/azure-cns", ...seen]);
  const unused = {
    metadata: { name: "aws-node", namespace: "kube-system" },
    status: { desiredNumberScheduled: 0 },
  };
  assert.deepEqual(await pluginsOf(unused), seen);
});

test("plugins that drop the kubelet's probes of ambient pods are reported, with the setting that lets them pass", async () => {
  const masquerade = await examine({
    "/apis/apps/v1/daemonsets": { items: [{ metadata: { name: "cilium", namespace: "kube-system" } }] },
    "/api/v1/namespaces/kube-system/configmaps/cilium-config": { data: { "enable-bpf-masquerade": "true" } },
  });
  assert.deepEqual(complaints(masquerade), [
    "! Cilium (ConfigMap kube-system/cilium-config): enable-bpf-masquerade is true: the kubelet's probes of ambient pods will fail, because they come from a link-local address\n    remedy: helm upgrade cilium cilium/cilium -n kube-system --reuse-values --set bpf.masquerade=false\n",
  ]);
  const amazon = async (variables: Record<string, string>): Promise<string[]> => {
    const env = Object.entries(variables).map(([name, value]) => ({ name, value }));
    const set = {
      metadata: { name: "aws-node", namespace: "kube-system" },
      spec: { template: { spec: { containers: [{ env }, {}] } } },
    };
    return complaints(await examine({ "/apis/apps/v1/daemonsets": { items: [set] } }));
  };
  assert.deepEqual(await amazon({ ENABLE_POD_ENI: "true" }), [
    "! Amazon VPC CNI (DaemonSet kube-system/aws-node): POD_SECURITY_GROUP_ENFORCING_MODE is strict: the kubelet's probes of ambient pods with a SecurityGroupPolicy will fail, because they come from a link-local address\n    remedy: kubectl set env daemonset aws-node -n kube-system POD_SECURITY_GROUP_ENFORCING_MODE=standard; then restart those pods\n",
  ]);
  assert.deepEqual(await amazon({ ENABLE_POD_ENI: "true", POD_SECURITY_GROUP_ENFORCING_MODE: "standard" }), []);
  assert.deepEqual(await amazon({ ENABLE_POD_ENI: "false" }), []);
});

test("connect-time load balancing of Calico's eBPF mode is reported, which hides Services from the mesh", async () => {
  const felix = "/apis/crd.projectcalico.org/v1/felixconfigurations/default";
  const complaintsOf = async (answer: object | number, daemonSet = "calico-node"): Promise<string[]> =>
    complaints(
      await examine({
        "/apis/apps/v1/daemonsets": { items: [{ metadata: { name: daemonSet, namespace: "calico-system" } }] },
        [felix]: answer,
      }),
    );
  const patch = `kubectl patch felixconfigurations.crd.projectcalico.org default --type=merge -p '{"spec":{"bpfConnectTimeLoadBalancing":"Disabled","bpfHostNetworkedNATWithoutCTLB":"Enabled"}}'`;
  const text = (mode: string): string =>
    `! Calico (FelixConfiguration default): bpfEnabled is true, and bpfConnectTimeLoadBalancing is ${mode}: connections of pods to a Service bypass its waypoint and its routes, because Calico replaces the Service's address before the mesh sees it\n    remedy: ${patch}\n`;
  assert.deepEqual(await complaintsOf({ spec: { bpfEnabled: true } }), [text("TCP, the default")]);
  const enabled = { spec: { bpfEnabled: true, bpfConnectTimeLoadBalancing: "Enabled" } };
  assert.deepEqual(await complaintsOf(enabled, "canal"), [text("Enabled")]);
  for (const spec of [
    {},
    { bpfConnectTimeLoadBalancing: "TCP" },
    { bpfEnabled: true, bpfConnectTimeLoadBalancing: "Disabled" },
    { bpfEnabled: true, bpfConnectTimeLoadBalancingEnabled: false },
  ])
    assert.deepEqual(await complaintsOf({ spec }), [], JSON.stringify(spec));
  assert.deepEqual(await complaintsOf(enabled, "kindnet"), [], "which no Calico reads");
  assert.match((await complaintsOf(403)).join(""), /Calico \(Cluster\): cannot be checked: refused with 403/);
});

test("GKE's Dataplane V2 is named, and a balancer of sockets in Cilium is reported beside kube-proxy too", async () => {
  const anetd = { metadata: { name: "anetd", namespace: "kube-system" } };
  const findings = await examine({ "/apis/apps/v1/daemonsets": { items: [anetd] } });
  assert.match(findings.find(({ subject }) => subject === "network plugin")?.detail ?? "", /^GKE Dataplane V2; /);
  const sockets = await examine({
    "/apis/apps/v1/daemonsets": { items: [{ metadata: { name: "cilium", namespace: "kube-system" } }] },
    "/api/v1/namespaces/kube-system/configmaps/cilium-config": {
      data: { "kube-proxy-replacement": "false", "bpf-lb-sock": "true" },
    },
  });
  const [complaint = "", ...others] = complaints(sockets);
  assert.deepEqual(others, []);
  assert.match(complaint, /^✗ Cilium .*: bpf-lb-sock is true without bpf-lb-sock-hostns-only\b/);
  assert.match(complaint, / --set socketLB\.hostNamespaceOnly=true\n$/);
});

test("only conflicting settings of Cilium are reported", async () => {
  const cilium = (data: Record<string, string>): Answers => ({
    "/apis/apps/v1/daemonsets": { items: [{ metadata: { name: "cilium", namespace: "kube-system" } }] },
    "/api/v1/namespaces/kube-system/configmaps/cilium-config": { data },
  });
  const found = await examine(cilium({ "cni-exclusive": "true", "kube-proxy-replacement": "true" }));
  assert.deepEqual(
    found
      .filter(({ level }) => level === "error")
      .map(({ object, remedy }) => `${object}: ${remedy.split(" --set ")[1] ?? ""}`),
    [
      "ConfigMap kube-system/cilium-config: cni.exclusive=false",
      "ConfigMap kube-system/cilium-config: socketLB.hostNamespaceOnly=true",
    ],
  );
  const fits = cilium({
    "cni-exclusive": "false",
    "kube-proxy-replacement": "true",
    "bpf-lb-sock-hostns-only": "true",
  });
  assert.deepEqual(complaints(await examine(fits)), []);
});
