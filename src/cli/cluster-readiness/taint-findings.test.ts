import assert from "node:assert/strict";
import { test } from "node:test";
import type { Taint, Toleration } from "../../api/kubernetes/index.ts";
import { userError } from "../../base/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import type { ClusterFinding } from "./cluster-finding.ts";
import type { ExaminedNode } from "./node-findings.ts";
import { taintFindings } from "./taint-findings.ts";

const node = (name: string, ...taints: readonly Taint[]): ExaminedNode => ({ metadata: { name }, spec: { taints } });
const deployment = (name: string, ...tolerations: readonly Toleration[]): object => ({
  metadata: { namespace: "istio-system", name },
  spec: { selector: { matchLabels: { app: name } }, template: { spec: { containers: [], tolerations } } },
});

interface InCluster {
  readonly installed?: readonly object[];
  readonly gateways?: readonly object[];
  /** The tolerations of running pods by the value of their label `app`. */
  readonly pods?: Readonly<Record<string, readonly Toleration[]>>;
}

const findingsOf = async (
  nodes: readonly ExaminedNode[],
  { installed = [], gateways = [], pods = {} }: InCluster = {},
): Promise<readonly ClusterFinding[]> => {
  const list = async (
    { kind }: { readonly kind: string },
    { labelSelector }: { readonly labelSelector: string },
  ): Promise<object> => {
    const tolerations = pods[labelSelector.replace("app=", "")];
    const ofLabel = labelSelector === "operator.istio.io/component" ? installed : gateways;
    const ofApp = tolerations === undefined ? [] : [{ metadata: {}, spec: { containers: [], tolerations } }];
    return await Promise.resolve({ items: kind === "Pod" ? ofApp : ofLabel });
  };
  return await taintFindings({ list } as unknown as KubeClient, nodes);
};

const dedicated: Taint = { key: "dedicated", value: "mesh", effect: "NoSchedule" };
const control: Taint = { key: "node-role.kubernetes.io/control-plane", effect: "NoSchedule" };
const tolerant: Toleration = { key: "dedicated", operator: "Equal", value: "mesh", effect: "NoSchedule" };
const istiod: Toleration = { key: "cni.istio.io/not-ready", operator: "Exists" };

test("taints of every node that an installed Deployment does not tolerate are a warning, although its pods still run", async () => {
  const [found, ...others] = await findingsOf([node("n1", dedicated), node("n2", dedicated)], {
    installed: [deployment("istiod", istiod), deployment("edge", tolerant)],
    pods: { istiod: [istiod] },
  });
  assert.deepEqual(others, []);
  assert.deepEqual(found, {
    subject: "taints",
    object: "Cluster",
    level: "warning",
    detail:
      "keep pods off all 2 nodes: dedicated=mesh:NoSchedule. A new pod of these Deployments starts nowhere: istio-system/istiod",
    remedy:
      "let the mesh's pods tolerate the taints: serin install --set 'values.global.defaultTolerations[0].key=dedicated' --set 'values.global.defaultTolerations[0].operator=Equal' --set 'values.global.defaultTolerations[0].value=mesh' --set 'values.global.defaultTolerations[0].effect=NoSchedule', together with the flags of your installation. Or remove the taints from a node: kubectl taint nodes NODE KEY-. Your own pods need tolerations, too",
  });
});

test("a Gateway's proxy has a remedy of its own, and tolerations that admission has given to its pods count", async () => {
  const nodes = [node("n1", dedicated)];
  const installed = [deployment("istiod", tolerant)];
  const gateways = [deployment("door"), deployment("waypoint")];
  const found = await findingsOf(nodes, { installed, gateways, pods: { door: [tolerant], waypoint: [] } });
  assert.deepEqual(
    found.map(({ detail }) => detail),
    [
      "keep pods off the only node: dedicated=mesh:NoSchedule. A new pod of these Deployments starts nowhere: istio-system/waypoint",
    ],
  );
  assert.match(found[0]?.remedy ?? "", /infrastructure\.parametersRef, of all waypoints by values\.global\.waypoint\./);
});

test("before an installation, nodes that keep all pods off are a warning, and the values fit a taint without a value", async () => {
  const [found] = await findingsOf([node("n1", control)]);
  assert.match(
    found?.detail ?? "",
    /the only node: node-role\.kubernetes\.io\/control-plane:NoSchedule\. Pods that do/,
  );
  assert.match(found?.remedy ?? "", /\.operator=Exists' --set 'values\.global\.defaultTolerations\[0\]\.effect=NoSch/);
});

test("no warning comes if a Linux node is free, or if each Deployment tolerates all taints of some node", async () => {
  const windows = { ...node("w"), status: { nodeInfo: { operatingSystem: "windows" } } };
  const cases: readonly [readonly ExaminedNode[], readonly object[], number][] = [
    [[node("n1", dedicated), node("n2")], [deployment("istiod")], 0],
    [[node("n1", dedicated), node("n2", { ...dedicated, effect: "PreferNoSchedule" })], [], 0],
    [[node("n1", dedicated), node("n2", control)], [deployment("istiod", tolerant)], 0],
    [[node("n1", dedicated, control)], [deployment("istiod", tolerant)], 1],
    [[node("n1", dedicated), windows], [], 1],
    [[], [], 0],
  ];
  for (const [nodes, installed, count] of cases)
    assert.equal((await findingsOf(nodes, { installed })).length, count, JSON.stringify([nodes, installed]));
});

test("cordoned nodes keep pods off until a person acts, and the taints of an unready node pass by themselves", async () => {
  const cordoned: Taint = { key: "node.kubernetes.io/unschedulable", effect: "NoSchedule" };
  const unready: Taint = { key: "node.kubernetes.io/not-ready", effect: "NoExecute" };
  const installed = [deployment("istiod")];
  const [found] = await findingsOf([node("n1", cordoned), node("n2", cordoned, dedicated)], { installed });
  const uncordon = "kubectl uncordon NODE, for at least one node";
  assert.equal(found?.remedy, uncordon);
  const [drained] = await findingsOf([node("n1", control), node("n2", cordoned)], { installed });
  assert.equal(drained?.remedy, uncordon, "the only worker is being drained");
  assert.deepEqual(await findingsOf([node("n1", dedicated), node("n2", unready)], { installed }), []);
});

test("a user who may not list Deployments gets no guess about them", async () => {
  const list = async (): Promise<never> => await Promise.reject(userError("forbidden", "bob may not"));
  assert.deepEqual(await taintFindings({ list } as unknown as KubeClient, [node("n1", dedicated)]), []);
});
