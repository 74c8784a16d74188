import assert from "node:assert/strict";
import { test } from "node:test";
import type { JournalEntry } from "../../../api/serin/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import type { ObjectAccess } from "../../act/object-access.ts";
import { reference } from "../../plan/index.ts";
import { fakeView } from "../checks/testing/fake-mesh.ts";
import type { ClusterView } from "../cluster-view.ts";
import { EventAges } from "../event-ages.ts";
import { noticedWithinMs } from "./operator-progress.ts";
import { undoSurroundings } from "./undo-surroundings.ts";
import { clockOf, pass } from "./testing/undo-pass.ts";

/** Why undo waits for the operator of this object, after undo has restored the object. */
async function notInstalled(
  entry: JournalEntry,
  operator: object,
  workloads: readonly object[],
  ages = new EventAges(clockOf({ ms: 0 })),
): Promise<string | undefined> {
  const list = { list: () => workloads };
  const view = Object.assign(fakeView([]), { deployments: list, daemonSets: list }) as unknown as ClusterView;
  const objects = { get: async () => await Promise.resolve(operator) } as unknown as ObjectAccess;
  const clock = clockOf({ ms: 0 });
  const surroundings = undoSurroundings({ client: {} as KubeClient, objects, view, clock, ages }, pass);
  return await surroundings.notInstalled(entry);
}

const disabled = (part: string): JournalEntry => ({
  type: "field",
  step: "retire",
  object: reference("install.istio.io/v1alpha1", "IstioOperator", "mesh", "istio-system"),
  pointer: `/spec/components/${part}/enabled`,
  written: false,
});

/** An IstioOperator at generation 3 whose parts have this status. */
const istioOperator = (health: string, status: object = {}): object => ({
  metadata: { name: "mesh", namespace: "istio-system", generation: 3 },
  status: { status: health, componentStatus: { Pilot: { status: health }, Ztunnel: { status: health } }, ...status },
});
const brought = istioOperator("HEALTHY", { observedGeneration: 3 });

const workloadOf = (app: string, ready: number, metadata: object): object => ({
  metadata: { name: `${app}-old`, namespace: "istio-system", generation: 1, ...metadata },
  spec: { replicas: 1 },
  status: {
    observedGeneration: 1,
    replicas: 1,
    updatedReplicas: 1,
    readyReplicas: ready,
    availableReplicas: ready,
    desiredNumberScheduled: 1,
    currentNumberScheduled: 1,
    updatedNumberScheduled: 1,
    numberReady: ready,
    numberAvailable: ready,
  },
});

const operatedBy = (app: string, owner: string, ready: number): object =>
  workloadOf(app, ready, {
    labels: {
      app,
      "install.operator.istio.io/owning-resource": owner,
      "install.operator.istio.io/owning-resource-namespace": "istio-system",
    },
  });

test("undo waits until the operator has installed the old istiod or ztunnel again, and its pods are ready", async () => {
  for (const [part, app] of [
    ["pilot", "istiod"],
    ["ztunnel", "ztunnel"],
  ] as const) {
    const entry = disabled(part);
    assert.match(
      (await notInstalled(entry, brought, [])) ?? "",
      new RegExp(`^its operator has not installed ${app} again yet; if it stays so, `),
    );
    assert.match((await notInstalled(entry, brought, [operatedBy(app, "other", 1)])) ?? "", /has not installed/);
    assert.match((await notInstalled(entry, brought, [operatedBy(app, "mesh", 0)])) ?? "", /0 of 1/);
    assert.equal(await notInstalled(entry, brought, [operatedBy(app, "mesh", 1)]), undefined);
  }
});

test("undo does not rely on an istiod that the operator is about to remove, because it has not seen the restored object", async () => {
  const wait = async (operator: object, ages?: EventAges): Promise<string> =>
    (await notInstalled(disabled("pilot"), operator, [operatedBy("istiod", "mesh", 1)], ages)) ?? "";
  assert.match(await wait(istioOperator("HEALTHY", { observedGeneration: 2 })), /has not installed istiod again yet/);
  assert.match(await wait(istioOperator("RECONCILING", { observedGeneration: 3 })), /has not installed istiod/);
  const failed = istioOperator("ERROR", {
    observedGeneration: 3,
    componentStatus: { Pilot: { status: "ERROR", error: "no quota" } },
  });
  assert.equal(await wait(failed), "its operator cannot install istiod: no quota");
  assert.equal(await wait(brought), "");
});

test("undo relies on the health that an operator without observedGeneration reports only after that operator must have seen the object", async () => {
  const steady = { ms: 0 };
  const ages = new EventAges(clockOf(steady));
  const wait = async (health: string): Promise<string> =>
    (await notInstalled(disabled("pilot"), istioOperator(health), [operatedBy("istiod", "mesh", 1)], ages)) ?? "";
  assert.match(await wait("HEALTHY"), /has not installed/);
  steady.ms = noticedWithinMs;
  assert.match(await wait("RECONCILING"), /has not installed/);
  assert.equal(await wait("HEALTHY"), "");
  const untouched = { metadata: { name: "mesh", namespace: "istio-system", generation: 3 } };
  const istiod = [operatedBy("istiod", "mesh", 1)];
  assert.equal(await notInstalled(disabled("pilot"), untouched, istiod, ages), undefined, "no operator runs");
});

test("undo does not rely on the istiod of a deleted Istio object of Banzai's operator, but on that of the new one", async () => {
  const object = reference("istio.banzaicloud.io/v1beta1", "Istio", "sample", "istio-system");
  const removed: JournalEntry = { type: "deleted", step: "retire", object, body: { metadata: { name: "sample" } } };
  const istiodOf = (uid: string): object =>
    workloadOf("istiod", 1, {
      labels: { app: "istiod" },
      ownerReferences: [{ apiVersion: object.apiVersion, kind: "Istio", name: "sample", uid, controller: true }],
    });
  const wait = async (status: object | undefined, uid: string): Promise<string> =>
    (await notInstalled(removed, { metadata: { name: "sample", uid: "new" }, status }, [istiodOf(uid)])) ?? "";
  assert.match(await wait({ Status: "Available" }, "old"), /has not installed istiod again yet/);
  assert.match(await wait(undefined, "new"), /has not installed/, "its webhooks are written last");
  assert.match(await wait({ Status: "Reconciling" }, "new"), /has not installed/);
  assert.equal(
    await wait({ Status: "ReconcileFailed", ErrorMessage: "no quota" }, "new"),
    "its operator cannot install istiod: no quota",
  );
  assert.equal(await wait({ Status: "Available" }, "new"), "");
});
