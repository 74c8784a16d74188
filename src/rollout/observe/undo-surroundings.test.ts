import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "../../api/kubernetes/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import type { ObjectAccess } from "../act/object-access.ts";
import { reference } from "../plan/index.ts";
import { fakePod, fakeView } from "./checks/testing/fake-mesh.ts";
import type { ClusterView } from "./cluster-view.ts";
import { EventAges } from "./event-ages.ts";
import { undoSurroundings } from "./undo-surroundings.ts";

const tagOf = (revision: string, manager: string): object => ({
  metadata: {
    name: "istio-revision-tag-prod",
    labels: { "istio.io/rev": revision, "istio.io/tag": "prod" },
    managedFields: [
      { manager, time: "2026-11-20T12:00:00Z", fieldsV1: { "f:metadata": { "f:labels": { "f:istio.io/rev": {} } } } },
    ],
  },
});

/** A tag of revision `old` whose webhook somebody has changed to call another Service. */
const tagAsking = (service: string): object => ({
  metadata: {
    name: "istio-revision-tag-prod",
    labels: { "istio.io/rev": "old", "istio.io/tag": "prod" },
    managedFields: [{ manager: "kubectl-edit", fieldsV1: { "f:webhooks": { 'k:{"name":"rev"}': {} } } }],
  },
  webhooks: [{ name: "rev", clientConfig: { service: { name: service, namespace: "istio-system" } } }],
});

/** Why undo does not yet delete the control plane of revision `new`, which no proxy but these pods uses. */
async function heldBy(injectors: readonly object[], pods: readonly Pod[] = []): Promise<string | undefined> {
  const clock = { nowMs: () => 0, steadyMs: () => 0 } as Parameters<typeof undoSurroundings>[0]["clock"];
  const view = Object.assign(fakeView([...pods]), {
    injectors: { list: () => injectors },
    namespaces: { list: () => [], get: () => undefined },
  }) as unknown as ClusterView;
  const istiod = { metadata: { name: "istiod-new", labels: { app: "istiod", "istio.io/rev": "new" } } };
  const objects = { get: async () => await Promise.resolve(istiod) } as unknown as ObjectAccess;
  const ages = new EventAges(clock);
  const object = reference("apps/v1", "Deployment", "istiod-new", "istio-system");
  const surroundings = undoSurroundings({ client: {} as KubeClient, objects, view, clock, ages });
  return await surroundings.stillServes({ type: "created", step: "install-1", object });
}

test("undo keeps a control plane to which somebody has moved a tag, because the tag's pods would be refused", async () => {
  assert.equal(
    await heldBy([tagOf("new", "serin-cli")]),
    "serin-cli at 2026-11-20T12:00:00Z has set tag prod to revision new; set it to another one, or new pods would be refused: serin tag set prod --revision REVISION --overwrite",
  );
  assert.match((await heldBy([tagAsking("istiod-new")])) ?? "", /^kubectl-edit has set tag prod to revision new; /);
  assert.equal(await heldBy([tagAsking("istiod-old")]), undefined);
  assert.equal(await heldBy([tagOf("old", "serin-cli")]), undefined);
  assert.equal(await heldBy([tagOf("new", "serin-rollout")]), undefined, "the engine's own tag has its own undo");
});

test("undo names the tag, and not the waypoint that follows it and so never leaves", async () => {
  const labels = { "gateway.networking.k8s.io/gateway-name": "waypoint", "istio.io/rev": "new" };
  const waypoint = fakePod({ name: "waypoint-1", labels });
  assert.match((await heldBy([tagOf("new", "serin-cli")], [waypoint])) ?? "", /has set tag prod to revision new/);
  assert.equal(await heldBy([], [waypoint]), "shop/waypoint-1 still runs at revision new");
});

/** Why undo does not yet remove the canary of a Gateway without a label, whose own Deployment is at this revision. */
async function canaryHeldBy(
  runs: string,
  injectors: readonly object[] = [],
  isOfIstio = false,
): Promise<string | undefined> {
  const clock = { nowMs: () => 0, steadyMs: () => 0 } as Parameters<typeof undoSurroundings>[0]["clock"];
  const revision = { "istio.io/rev": runs };
  const name = { "gateway.networking.k8s.io/gateway-name": "front" };
  const stable = {
    metadata: {
      name: "front-istio",
      namespace: "shop",
      labels: { ...name, ...(isOfIstio ? {} : revision) },
      generation: 1,
    },
    spec: { replicas: 1, template: { metadata: isOfIstio ? { annotations: revision } : { labels: revision } } },
    status: { observedGeneration: 1, replicas: 1, updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1 },
  };
  const pilot = (revision: string): object => ({
    metadata: { name: "istiod", namespace: "istio-system", labels: { app: "istiod", "istio.io/rev": revision } },
  });
  const view = Object.assign(fakeView([]), {
    injectors: { list: () => injectors },
    namespaces: { list: () => [], get: () => undefined },
    deployments: { list: () => [stable, pilot("default"), pilot("new")] },
    controlPlaneNamespaces: () => new Set(["istio-system"]),
  }) as unknown as ClusterView;
  const objects = { get: async () => await Promise.resolve(stable) } as unknown as ObjectAccess;
  const surroundings = undoSurroundings({ client: {} as KubeClient, objects, view, clock, ages: new EventAges(clock) });
  const object = reference("gateway.networking.k8s.io/v1", "Gateway", "front", "shop");
  const pointer = "/metadata/annotations/rollout.serin.dev~1canary-revision";
  const gateway = { metadata: { name: "front", namespace: "shop" } };
  return await surroundings.heldBack({ type: "field", step: "s", object, pointer, written: "new" }, gateway, "new");
}

test("undo keeps the canary of a Gateway without a label until the default revision has its own pods back", async () => {
  assert.equal(await canaryHeldBy("new"), "front-istio is at new, and not yet at default");
  assert.equal(await canaryHeldBy("default"), undefined);
  const tag = { metadata: { name: "tag", labels: { "istio.io/tag": "default", "istio.io/rev": "new" } } };
  assert.equal(await canaryHeldBy("new", [tag]), undefined, "the tag `default` leads to it");
  assert.equal(await canaryHeldBy("new", [tag], true), undefined, "Istio writes the revision into the template alone");
  assert.equal(await canaryHeldBy("new", [], true), "front-istio is at new, and not yet at default");
});

/** Why undo waits after it has let an operator install `istiod-old` or `ztunnel-old` again, whose pods are these. */
async function notInstalled(component: string, workloads: readonly object[]): Promise<string | undefined> {
  const clock = { nowMs: () => 0, steadyMs: () => 0 } as Parameters<typeof undoSurroundings>[0]["clock"];
  const list = { list: () => workloads };
  const view = Object.assign(fakeView([]), { deployments: list, daemonSets: list }) as unknown as ClusterView;
  const surroundings = undoSurroundings({
    client: {} as KubeClient,
    objects: {} as ObjectAccess,
    view,
    clock,
    ages: new EventAges(clock),
  });
  const object = reference("install.istio.io/v1alpha1", "IstioOperator", "mesh", "istio-system");
  const pointer = `/spec/components/${component}/enabled`;
  return await surroundings.notInstalled({ type: "field", step: "retire", object, pointer, written: false });
}

test("undo waits until the operator has installed the old istiod or ztunnel again, and its pods are ready", async () => {
  const operatedBy = (app: string, owner: string, ready: number): object => ({
    metadata: {
      name: `${app}-old`,
      namespace: "istio-system",
      generation: 1,
      labels: {
        app,
        "install.operator.istio.io/owning-resource": owner,
        "install.operator.istio.io/owning-resource-namespace": "istio-system",
      },
    },
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
  for (const [component, app] of [
    ["pilot", "istiod"],
    ["ztunnel", "ztunnel"],
  ] as const) {
    assert.match(
      (await notInstalled(component, [])) ?? "",
      new RegExp(`^its operator has not installed ${app} again yet; if it stays so, `),
    );
    assert.match((await notInstalled(component, [operatedBy(app, "other", 1)])) ?? "", /has not installed/);
    assert.match((await notInstalled(component, [operatedBy(app, "mesh", 0)])) ?? "", /0 of 1/);
    assert.equal(await notInstalled(component, [operatedBy(app, "mesh", 1)]), undefined);
  }
});
