import assert from "node:assert/strict";
import { test } from "node:test";
import { createLogger, userError } from "../../../base/index.ts";
import type { KindDefinition } from "../../../api/index.ts";
import type { JournalEntry, MeshUpgrade, ObjectReference } from "../../../api/serin/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import { standingClock } from "../checks/testing/fake-mesh.ts";
import { ClusterView } from "../cluster-view.ts";
import { observeRetirable } from "./retirable.ts";

const namespace = "istio-system";
const deployment = (name: string, metadata: object) => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name, namespace, ...metadata },
});
const component = "operator.istio.io/component";
const owning = {
  "install.operator.istio.io/owning-resource": "mesh",
  "install.operator.istio.io/owning-resource-namespace": namespace,
};

const noView = {
  deployments: { list: () => [] },
  controlPlaneNamespaces: () => new Set(),
  keptLonger: async (_key: string, ask: () => Promise<unknown>) => await ask(),
} as unknown as ClusterView;

/** An upgrade from revision `old` with this number of finished steps. */
function upgrade(stepsDone = 0, step?: string): MeshUpgrade {
  const completedSteps = Array.from({ length: stepsDone }, () => ({}));
  const status = { completedSteps, ...(step === undefined ? {} : { step: { id: step } }) };
  return { metadata: { name: "u", uid: "1" }, spec: { from: { revision: "old" } }, status } as unknown as MeshUpgrade;
}

/** An IstioOperator on which an operator acts. */
const carriedOut: object = { metadata: { name: "mesh" } };

async function retirable(listed: readonly object[], deployments: readonly object[] = []) {
  const client = {
    list: async () => await Promise.resolve({ items: listed }),
    get: async () => await Promise.resolve(carriedOut),
  } as unknown as KubeClient;
  const view = {
    deployments: { list: () => deployments },
    controlPlaneNamespaces: () => new Set([namespace]),
    keptLonger: async (_key: string, ask: () => Promise<unknown>) => await ask(),
  } as unknown as ClusterView;
  const kinds = [{ kind: "Deployment" }] as unknown as readonly KindDefinition[];
  const { retirable: free, owners = [] } = await observeRetirable(client, view, kinds, upgrade(), []);
  return {
    free: free.map(({ name }) => name),
    owners: owners.map(({ object, components }) => [object.kind, object.name, ...(components ?? [])]),
  };
}

const noDiscovery = async () => await Promise.resolve({ status: 404, headers: {}, text: "" });

test("objects without an operator are deleted, and an operator's parts are disabled in its IstioOperator", async () => {
  const found = await retirable([
    deployment("istiod-old", { labels: { [component]: "Pilot" } }),
    deployment("istiod-of-operator", { labels: { [component]: "Pilot", ...owning } }),
    deployment("ztunnel-of-operator", { labels: { [component]: "Ztunnel", ...owning } }),
  ]);
  assert.deepEqual(found, { free: ["istiod-old"], owners: [["IstioOperator", "mesh", "pilot", "ztunnel"]] });
});

test("what istioctl installed is deleted, because no operator carries out the IstioOperator that its labels name", async () => {
  const listed = [deployment("istiod-old", { labels: { [component]: "Pilot", ...owning } })];
  const found = { free: ["istiod-old"], owners: [] };
  const client = (get: () => Promise<unknown>): KubeClient =>
    ({ list: async () => ({ items: listed }), get, raw: noDiscovery }) as never;
  const seenBy = async (get: () => Promise<unknown>) => {
    const { retirable: free, owners } = await observeRetirable(
      client(get),
      noView,
      [{ kind: "Deployment" }] as never,
      upgrade(),
      [],
    );
    return { free: free.map(({ name }) => name), owners: owners?.map(({ object }) => object.kind) };
  };
  assert.deepEqual(await seenBy(async () => undefined), found, "istioctl since 1.24 names one that does not exist");
  const ignored = { metadata: { name: "mesh", annotations: { "install.istio.io/ignoreReconcile": "true" } } };
  assert.deepEqual(await seenBy(async () => ignored), found, "former istioctls kept a copy that operators ignore");
  const operated = { free: [], owners: ["IstioOperator"] };
  assert.deepEqual(await seenBy(async () => carriedOut), operated);
  const forbidden = async (): Promise<never> => await Promise.reject(userError("forbidden", "no right"));
  assert.deepEqual(await seenBy(forbidden), operated, "a user who plans may have no right to read it");
});

test("the slice that Kubernetes makes for a control plane's Service leaves with the Service, and is not retired itself", async () => {
  const owner = { apiVersion: "v1", kind: "Service", name: "istiod-old", uid: "u", controller: true };
  const slice = { metadata: { name: "istiod-old-abcde", namespace, ownerReferences: [owner] } };
  assert.deepEqual((await retirable([slice, deployment("istiod-old", {})])).free, ["istiod-old"]);
});

test("a control plane of Banzai's operator, which labels no component, is retired with its Istio", async () => {
  const ofBanzai = (name: string, revision: string, kind: string) =>
    deployment(name, {
      labels: { app: "istiod", "istio.io/rev": revision },
      ownerReferences: [
        { apiVersion: "istio.banzaicloud.io/v1beta1", kind, name: "sample", uid: "u", controller: true },
      ],
    });
  const found = await retirable(
    [],
    [
      ofBanzai("istiod", "old", "Istio"),
      ofBanzai("istiod-new", "new", "Istio"),
      deployment("istiod-other", { labels: { app: "istiod", "istio.io/rev": "old" } }),
    ],
  );
  assert.deepEqual(found, { free: [], owners: [["Istio", "sample"]] });
});

test("after a retirement, the world lists the namespaces of the workloads that it deleted, and of nothing else", async () => {
  const objectIn = (kind: string, plural: string, namespace: string): ObjectReference => ({
    apiVersion: "apps/v1",
    kind,
    plural,
    name: "x",
    namespace,
  });
  const deleted = (step: string, object: ObjectReference): JournalEntry => ({
    type: "deleted",
    step,
    object,
    body: { metadata: {} },
  });
  const client = { list: async () => await Promise.resolve({ items: [] }) } as unknown as KubeClient;
  const { retiredFrom } = await observeRetirable(client, noView, [], upgrade(), [
    deleted("retire", objectIn("Deployment", "deployments", "mesh-control")),
    deleted("retire", objectIn("DaemonSet", "daemonsets", "kube-system")),
    deleted("retire", objectIn("ConfigMap", "configmaps", "elsewhere")),
    deleted("gateway/edge/edge/done", objectIn("Deployment", "deployments", "edge")),
  ]);
  assert.deepEqual(retiredFrom, ["kube-system", "mesh-control"]);
});

test("after a retirement by an operator's object, the world lists the namespace where that operator installs", async () => {
  const istioOperator = (spec: object) => ({ metadata: { name: "mesh", namespace: "operators" }, spec });
  const object: ObjectReference = {
    apiVersion: "install.istio.io/v1alpha1",
    kind: "IstioOperator",
    plural: "istiooperators",
    name: "mesh",
    namespace: "operators",
  };
  const disabled = (name: string): JournalEntry => ({
    type: "field",
    step: "retire",
    object,
    pointer: `/spec/components/${name}/enabled`,
    written: false,
  });
  const ofBanzai: JournalEntry = {
    type: "deleted",
    step: "retire",
    object: { apiVersion: "istio.banzaicloud.io/v1beta1", kind: "Istio", plural: "istios", name: "i", namespace: "b" },
    body: { metadata: {} },
  };
  const retiredFrom = async (spec: object | undefined, journal: readonly JournalEntry[]): Promise<unknown> => {
    const get = async () => await Promise.resolve(spec === undefined ? undefined : istioOperator(spec));
    const client = { list: async () => ({ items: [] }), get, raw: noDiscovery } as unknown as KubeClient;
    return (await observeRetirable(client, noView, [], upgrade(), journal)).retiredFrom;
  };
  const both = [disabled("pilot"), disabled("ztunnel")];
  assert.deepEqual(await retiredFrom({ namespace: "mesh-control" }, both), ["mesh-control"]);
  assert.deepEqual(await retiredFrom({ values: { global: { istioNamespace: "mesh" } } }, both), ["mesh"]);
  assert.deepEqual(await retiredFrom({}, both), [], "the plan adds istio-system");
  assert.deepEqual(await retiredFrom(undefined, both), []);
  assert.deepEqual(await retiredFrom({ namespace: "mesh-control" }, []), []);
  assert.deepEqual(await retiredFrom(undefined, [ofBanzai]), ["b"]);
});

test("the objects to retire are listed when a step begins and each ten seconds, and in each round of the retirement", async () => {
  let lists = 0;
  let refusal: Error | undefined;
  const list = async () => {
    lists += 1;
    if (refusal !== undefined) throw refusal;
    return await Promise.resolve({ items: [] });
  };
  const client = { list } as unknown as KubeClient;
  const clock = standingClock();
  const view = new ClusterView(client, { log: createLogger({ scope: "test", write: () => undefined }), clock });
  const kinds = [{ kind: "Deployment" }] as unknown as readonly KindDefinition[];
  const listsOf = async (of: MeshUpgrade): Promise<number> => {
    const before = lists;
    await observeRetirable(client, view, kinds, of, []).catch(() => undefined);
    return lists - before;
  };
  assert.deepEqual([await listsOf(upgrade(3, "probe")), await listsOf(upgrade(3, "probe"))], [1, 0]);
  assert.deepEqual([await listsOf(upgrade(4)), await listsOf(upgrade(4, "adopt"))], [1, 0]);
  clock.nowAtMs += 10_000;
  refusal = new Error("forbidden");
  assert.deepEqual([await listsOf(upgrade(4, "adopt")), await listsOf(upgrade(4, "adopt"))], [1, 1], "not kept");
  refusal = undefined;
  assert.deepEqual([await listsOf(upgrade(4, "adopt")), await listsOf(upgrade(4, "adopt"))], [1, 0]);
  assert.deepEqual([await listsOf(upgrade(4, "retire")), await listsOf(upgrade(4, "retire"))], [1, 1]);
});
