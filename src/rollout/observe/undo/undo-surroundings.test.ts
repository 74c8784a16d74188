import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "../../../api/kubernetes/index.ts";
import type { JournalEntry } from "../../../api/serin/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import type { ObjectAccess } from "../../act/object-access.ts";
import type { StillServes } from "../../act/perform.ts";
import { reference } from "../../plan/index.ts";
import { fakePod, fakeView } from "../checks/testing/fake-mesh.ts";
import type { ClusterView } from "../cluster-view.ts";
import { EventAges } from "../event-ages.ts";
import { noticedWithinMs } from "./operator-progress.ts";
import { undoSurroundings } from "./undo-surroundings.ts";

const pass = { entries: [], passOver: false };

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
  return (await stillServes(injectors, pods))?.detail;
}

async function stillServes(
  injectors: readonly object[],
  pods: readonly Pod[],
  connected: readonly string[] = [],
): Promise<StillServes | undefined> {
  const clock = { nowMs: () => 0, steadyMs: () => 0 } as Parameters<typeof undoSurroundings>[0]["clock"];
  const view = Object.assign(fakeView([...pods]), {
    injectors: { list: () => injectors },
    namespaces: { list: () => [], get: () => undefined },
    recently: async () =>
      await Promise.resolve(connected.map((name) => ({ id: `${name}.shop`, type: "router", namespace: "shop" }))),
  }) as unknown as ClusterView;
  const istiod = { metadata: { name: "istiod-new", labels: { app: "istiod", "istio.io/rev": "new" } } };
  const objects = { get: async () => await Promise.resolve(istiod) } as unknown as ObjectAccess;
  const ages = new EventAges(clock);
  const object = reference("apps/v1", "Deployment", "istiod-new", "istio-system");
  const surroundings = undoSurroundings({ client: {} as KubeClient, objects, view, clock, ages }, pass);
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

test("undo waits for proxies of ending pods until their announced end, and says so", async () => {
  const [pilot, front, other] = ["istiod-new-7c9", "front-1", "front-2"].map((name) =>
    fakePod({
      name,
      namespace: name.startsWith("istiod") ? "istio-system" : "shop",
      labels: name.startsWith("istiod") ? { app: "istiod", "istio.io/rev": "new" } : {},
      status: { conditions: [{ type: "Ready", status: "True" }] },
    }),
  ) as [Pod, Pod, Pod];
  const ending = (pod: Pod, deletionTimestamp: string): Pod => ({
    ...pod,
    metadata: { ...pod.metadata, deletionTimestamp },
  });
  const of = async (...pods: readonly Pod[]): Promise<unknown> =>
    await stillServes([], [pilot, ...pods], ["front-1", "front-2"]);
  const [soon, later] = ["1970-01-01T00:10:00Z", "1970-01-01T01:00:00Z"];
  assert.deepEqual(await of(ending(front, soon), ending(other, later)), {
    detail: `front-1.shop, front-2.shop serve their last connections, until ${later} at the latest`,
    isEnding: true,
  });
  const connected = { detail: "front-1.shop, front-2.shop are still connected to it" };
  assert.deepEqual(await of(ending(front, soon), other), connected, "one of them stays");
  assert.deepEqual(await of(ending(front, soon)), connected, "one has no pod");
  const past = "1969-12-31T23:58:00Z";
  assert.deepEqual(await of(ending(front, past), ending(other, past)), connected, "they should have ended long ago");
});

test("undo names the tag, and not the waypoint that follows it and so never leaves", async () => {
  const labels = { "gateway.networking.k8s.io/gateway-name": "waypoint", "istio.io/rev": "new" };
  const waypoint = fakePod({ name: "waypoint-1", labels });
  assert.match((await heldBy([tagOf("new", "serin-cli")], [waypoint])) ?? "", /has set tag prod to revision new/);
  assert.equal(await heldBy([], [waypoint]), "shop/waypoint-1 still runs at revision new");
});

test("undo keeps a made route until the pods of the deleted canary copy leave, because the Service selects them too", async () => {
  const labels = { app: "web", "rollout.serin.dev/copy": "canary" };
  const copy = fakePod({ name: "web-canary-1", workload: "web-canary", labels });
  const other = fakePod({ name: "api-canary-1", workload: "api-canary", labels });
  const leaving = { ...copy, metadata: { ...copy.metadata, deletionTimestamp: "2026-01-01T00:00:00Z" } };
  const owner = { apiVersion: "apps/v1", kind: "Deployment", name: "web", uid: "1" };
  const route = { metadata: { name: "web-canary", namespace: "shop", ownerReferences: [owner] } };
  const heldWith = async (...pods: readonly Pod[]): Promise<string | undefined> => {
    const clock = clockOf({ ms: 0 });
    const objects = { get: async () => await Promise.resolve(route) } as unknown as ObjectAccess;
    const view = Object.assign(fakeView(pods), { injectors: { list: () => [] } }) as unknown as ClusterView;
    const surroundings = undoSurroundings(
      {
        client: {} as KubeClient,
        objects,
        view,
        clock,
        ages: new EventAges(clock),
      },
      pass,
    );
    const object = reference("networking.istio.io/v1", "VirtualService", "web-canary", "shop");
    return (await surroundings.stillServes({ type: "created", step: "routes", object }))?.detail;
  };
  assert.equal(await heldWith(copy), "shop/web-canary-1 has not left yet, and would get requests without the route");
  assert.equal(await heldWith(leaving, other), undefined);
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
  const surroundings = undoSurroundings(
    { client: {} as KubeClient, objects, view, clock, ages: new EventAges(clock) },
    pass,
  );
  const object = reference("gateway.networking.k8s.io/v1", "Gateway", "front", "shop");
  const pointer = "/metadata/annotations/rollout.serin.dev~1canary-revision";
  const annotations = { "rollout.serin.dev/canary-revision": "new" };
  const gateway = { metadata: { name: "front", namespace: "shop", annotations } };
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

const clockOf = (steady: { ms: number }) =>
  ({ nowMs: () => 0, steadyMs: () => steady.ms }) as unknown as Parameters<typeof undoSurroundings>[0]["clock"];

/** Why undo waits for the operator whose object this is, after it has restored the object. */
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

/** An IstioOperator at generation 3, whose parts have this status. */
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

test("undo waits for the pods of a restarted workload, unless its strategy replaces none", async () => {
  const clock = clockOf({ ms: 0 });
  const missing = async (
    kind: string,
    found: object | undefined,
    pods: readonly Pod[] = [],
    restartedAt?: string,
  ): Promise<unknown> => {
    const objects = { get: async () => await Promise.resolve(found) } as unknown as ObjectAccess;
    const sources = { client: {} as KubeClient, objects, view: fakeView(pods), clock, ages: new EventAges(clock) };
    const object = reference("apps/v1", kind, "web", "shop");
    return await undoSurroundings(sources, pass).notReplaced(object, restartedAt);
  };
  const workload = (spec: object, status: object = {}): object => ({
    metadata: { name: "web", namespace: "shop", generation: 2 },
    spec: { replicas: 3, ...spec },
    status: { observedGeneration: 2, replicas: 3, updatedReplicas: 1, availableReplicas: 3, ...status },
  });
  assert.deepEqual(await missing("Deployment", workload({})), { detail: "Deployment web: 1 of 3 ready", left: 2 });
  assert.equal(await missing("Deployment", workload({}, { updatedReplicas: 3 })), undefined);
  assert.equal(await missing("Deployment", workload({ paused: true })), undefined);
  assert.equal(await missing("StatefulSet", workload({ updateStrategy: { type: "OnDelete" } })), undefined);
  const partition = { updateStrategy: { rollingUpdate: { partition: 2 } } };
  assert.equal(await missing("StatefulSet", workload(partition)), undefined);
  assert.equal(await missing("Deployment", undefined), undefined);
  const ofSet = (hash: string): Pod => {
    const pod = fakePod({ name: "web-2", labels: { "controller-revision-hash": hash } });
    const owner = { apiVersion: "apps/v1", kind: "StatefulSet", name: "web", uid: "u", controller: true };
    return { ...pod, metadata: { ...pod.metadata, ownerReferences: [owner] } };
  };
  const detailOfSet = async (hash: string): Promise<unknown> =>
    await missing("StatefulSet", workload({}, { updateRevision: "web-1" }), [ofSet(hash)]);
  // A StatefulSet replaces no unready pod, even if its template was taken back.
  const byHand = "StatefulSet web: 1 of 3 ready (if it stays: kubectl -n shop delete pod web-2)";
  assert.deepEqual(await detailOfSet("web-2"), { detail: byHand, left: 2 });
  assert.deepEqual(await detailOfSet("web-1"), { detail: "StatefulSet web: 1 of 3 ready", left: 2 });
  const ofRollout = (name: string, creationTimestamp: string): Pod => {
    const pod = fakePod({ name, labels: { "rollouts-pod-template-hash": "1" } });
    const owner = { apiVersion: "apps/v1", kind: "ReplicaSet", name: "web-1", uid: "u", controller: true };
    const metadata = { ...pod.metadata, creationTimestamp, ownerReferences: [owner] };
    return { ...pod, metadata: { ...metadata, labels: { "rollouts-pod-template-hash": "1" } } };
  };
  const [older, newer] = [ofRollout("web-1-a", "2026-01-01T00:00:00Z"), ofRollout("web-1-b", "2026-01-01T00:05:00Z")];
  const at = "2026-01-01T00:05:00.200Z";
  assert.deepEqual(await missing("Rollout", workload({}), [older, newer], at), {
    detail: "shop/web-1-a is from before its restart",
    left: 1,
  });
  assert.equal(await missing("Rollout", workload({}), [newer], at), undefined);
});

test("undo does not wait for a pod of a restarted workload whose node is lost", async () => {
  const nowMs = Date.parse("2026-01-01T00:10:00Z");
  const clock = { nowMs: () => nowMs, steadyMs: () => 0 } as unknown as ReturnType<typeof clockOf>;
  const agents = {
    metadata: { name: "agent", namespace: "shop", generation: 2 },
    spec: {},
    status: {
      observedGeneration: 2,
      desiredNumberScheduled: 3,
      currentNumberScheduled: 3,
      updatedNumberScheduled: 2,
      numberAvailable: 2,
    },
  };
  const ending = (name: string, workload: string, deletionTimestamp: string): Pod => {
    const pod = fakePod({ name });
    const owner = { apiVersion: "apps/v1", kind: "DaemonSet", name: workload, uid: "d", controller: true };
    return { ...pod, metadata: { ...pod.metadata, deletionTimestamp, ownerReferences: [owner] } };
  };
  const missing = async (...pods: readonly Pod[]): Promise<unknown> => {
    const objects = { get: async () => await Promise.resolve(agents) } as unknown as ObjectAccess;
    const sources = { client: {} as KubeClient, objects, view: fakeView(pods), clock, ages: new EventAges(clock) };
    return await undoSurroundings(sources, pass).notReplaced(
      reference("apps/v1", "DaemonSet", "agent", "shop"),
      undefined,
    );
  };
  const [past, recent] = ["2026-01-01T00:05:00Z", "2026-01-01T00:09:50Z"];
  const waiting = { detail: "DaemonSet agent: 2 of 3 ready", left: 1 };
  assert.deepEqual(await missing(ending("agent-1", "agent", recent)), waiting);
  assert.deepEqual(await missing(ending("other-1", "other", past)), waiting, "a pod of another workload");
  assert.equal(await missing(ending("agent-1", "agent", past)), undefined);
});

test("an undo waits for the pods of a version that was scaled to 0, but not on the routes of a Deployment's own Canary", async () => {
  const clock = { nowMs: () => 0, steadyMs: () => 0 } as Parameters<typeof undoSurroundings>[0]["clock"];
  const status = { conditions: [{ type: "Ready", status: "True" }] } as never;
  const view = fakeView(
    [fakePod({ name: "v2", labels: { app: "v2" }, status })],
    [
      {
        metadata: { name: "v1", namespace: "shop" },
        spec: { template: { metadata: { labels: { app: "v1" } } } },
      } as never,
    ],
  );
  const endpoints = [{ targetRef: { kind: "Pod", name: "v2" } }];
  const client = {
    get: async (_kind: unknown, name: string) => await Promise.resolve({ spec: { selector: { app: name } } }),
    list: async () => await Promise.resolve({ items: [{ metadata: { name: "v2" }, endpoints }] }),
  } as unknown as KubeClient;
  const objects = { get: async () => await Promise.resolve(undefined) } as unknown as ObjectAccess;
  const ages = new EventAges(clock);
  const surroundings = undoSurroundings({ client, objects, view, clock, ages }, { ...pass, passOver: true });
  const object = reference("gateway.networking.k8s.io/v1", "HTTPRoute", "web", "shop");
  const to = (name: string) => [{ backendRefs: [{ name, port: 80 }] }];
  const change = { object, before: to("v2"), after: to("v1") };
  assert.match(
    (await surroundings.notServedYet({ metadata: { name: "web" } }, change)) ?? "",
    /^Service shop\/v1 has no ready pod/,
  );
  const ownerReferences = [{ apiVersion: "apps/v1", kind: "Deployment", name: "web", uid: "1" }];
  assert.equal(await surroundings.notServedYet({ metadata: { name: "web", ownerReferences } }, change), undefined);
});
